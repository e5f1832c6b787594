# Small helpers: sources of a folder, and libraries that may be empty for now.

# attn_sources(VAR FOLDER): the .c files directly in FOLDER.
function(attn_sources var folder)
    file(GLOB found CONFIGURE_DEPENDS ${folder}/*.c)
    set(${var} ${found} PARENT_SCOPE)
endfunction()

# attn_library(NAME TYPE SOURCES...): a library of ours; an empty interface while it has no sources.
function(attn_library name type)
    if(ARGN)
        add_library(${name} ${type} ${ARGN})
    else()
        add_library(${name} INTERFACE)
    endif()
endfunction()

# attn_link(NAME LIBS...): links LIBS, whether NAME is a real library or still empty.
function(attn_link name)
    get_target_property(type ${name} TYPE)
    if(type STREQUAL "INTERFACE_LIBRARY")
        target_link_libraries(${name} INTERFACE ${ARGN})
    else()
        target_link_libraries(${name} PUBLIC ${ARGN})
    endif()
endfunction()
