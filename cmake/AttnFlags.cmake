# Language level, warnings, sanitizers, definitions and output folders for all of our code.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")    # assertions stay: they are cheap here

find_program(CCACHE ccache)
if(CCACHE AND NOT DEFINED CMAKE_C_COMPILER_LAUNCHER)
    set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

add_compile_options(-Wall -Wextra -Wconversion)
# The interpreter is a reference: no contraction, so that it gives the same bits everywhere.
add_compile_options(-ffp-contract=off)
if(ATTN_WERROR)
    add_compile_options(-Werror)
endif()
if(ATTN_SANITIZE)
    set(ATTN_SANITIZE_FLAGS -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_compile_options(${ATTN_SANITIZE_FLAGS})
    add_link_options(${ATTN_SANITIZE_FLAGS})
    add_compile_definitions(ATTN_SANITIZE=1)
endif()

# The build tree has the shape of the installed tree (bin, lib, share), so that one relative search
# (libattn_jit, patterns) serves both.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(ATTN_PATTERN_INSTALL ${CMAKE_INSTALL_DATADIR}/attnc/patterns)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/share/attnc)
file(CREATE_LINK ${CMAKE_SOURCE_DIR}/patterns ${CMAKE_BINARY_DIR}/share/attnc/patterns SYMBOLIC)

include_directories(${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
add_compile_definitions(
    _GNU_SOURCE= XXH_INLINE_ALL=    # empty, so that a #define of the same is no conflict
    ATTN_VERSION="${PROJECT_VERSION}"
    ATTN_PATTERN_DIR="${CMAKE_INSTALL_PREFIX}/${ATTN_PATTERN_INSTALL}"   # the installed library
    ATTN_PATTERN_DIR_SOURCE="${CMAKE_SOURCE_DIR}/patterns"              # when run from the build tree
    ATTN_LIB_DIR="${CMAKE_INSTALL_FULL_LIBDIR}")                        # the installed libattn_jit.so
