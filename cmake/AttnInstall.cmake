# Install rules: attnc, libattn, libattn_jit, headers, patterns, manual pages, completions, CMake and pkg-config files.
include(CMakePackageConfigHelpers)

set(targets)
foreach(target attnc attn_jit)
    if(TARGET ${target})
        install(TARGETS ${target})
    endif()
endforeach()
install(TARGETS attn attn_static EXPORT attncTargets)
install(EXPORT attncTargets NAMESPACE attnc:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/attnc)
install(FILES runtime/attn.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} OPTIONAL)
install(DIRECTORY patterns/ DESTINATION ${ATTN_PATTERN_INSTALL} FILES_MATCHING PATTERN "*.attn")

set(share ${CMAKE_BINARY_DIR}/share)    # made by attnc itself (compiler/command)
install(DIRECTORY ${share}/man/man1/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${share}/man/man5/attn.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES ${share}/completions/attnc.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME attnc)
install(FILES ${share}/completions/attnc.zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions RENAME _attnc)
install(FILES ${share}/completions/attnc.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)

configure_package_config_file(cmake/attncConfig.cmake.in ${CMAKE_BINARY_DIR}/attncConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/attnc
                              PATH_VARS ATTN_PATTERN_INSTALL)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/attncConfigVersion.cmake COMPATIBILITY SameMinorVersion)
file(RELATIVE_PATH ATTN_PC_PREFIX /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)    # the prefix, from attn.pc
configure_file(cmake/attn.pc.in ${CMAKE_BINARY_DIR}/attn.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/attncConfig.cmake ${CMAKE_BINARY_DIR}/attncConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/attnc)
install(FILES ${CMAKE_BINARY_DIR}/attn.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
