# What api/CMakeLists.txt makes of .proto files: generated sources, a library of them, and its installation.

# Makes <component>_sources and <component>_headers: what protoc generates from `protos` (paths from this folder), ending
# in .<ending>.cc and .<ending>.h. The last argument is the option that names the folder to write to; those before it are
# given to protoc as they are.
function(payload_manager_generate component protos ending)
    set(out "${CMAKE_CURRENT_BINARY_DIR}/generated/${component}")
    file(MAKE_DIRECTORY "${out}")
    set(options ${ARGN})
    list(POP_BACK options out_option)
    set(inputs)
    set(sources)
    set(headers)
    foreach(proto IN LISTS protos)
        string(REGEX REPLACE "\\.proto$" "" stem "${proto}")
        list(APPEND inputs "${CMAKE_CURRENT_SOURCE_DIR}/${proto}")
        list(APPEND sources "${out}/${stem}.${ending}.cc")
        list(APPEND headers "${stem}.${ending}.h")
    endforeach()
    set(outputs ${headers})
    list(TRANSFORM outputs PREPEND "${out}/")
    # One run for all: files import each other, so a change of one may change what is made of another.
    add_custom_command(
        OUTPUT ${sources} ${outputs}
        COMMAND ${PAYLOAD_MANAGER_PROTOC} ${options} "${out_option}=${out}"
            -I "${CMAKE_CURRENT_SOURCE_DIR}" ${PAYLOAD_MANAGER_PROTOC_INCLUDES} ${inputs}
        DEPENDS ${inputs}
        COMMENT "Generating C++ from the contract (${component})"
        VERBATIM)
    set(${component}_sources ${sources} ${outputs} PARENT_SCOPE)
    set(${component}_headers ${headers} PARENT_SCOPE)
endfunction()

# The library payload_manager_<component>, known to others as payload_manager::<component>, of generated sources.
function(payload_manager_library component sources)
    set(target payload_manager_${component})
    add_library(${target} ${sources})
    add_library(payload_manager::${component} ALIAS ${target})
    # SYSTEM: generated code answers to nobody's warnings, ours or those of who includes it.
    target_include_directories(${target} SYSTEM PUBLIC
        "$<BUILD_INTERFACE:${CMAKE_CURRENT_BINARY_DIR}/generated/${component}>"
        "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
    target_compile_features(${target} PUBLIC cxx_std_17)
    # Generated classes carry no export marks, so in a shared library everything is shown.
    set_target_properties(${target} PROPERTIES
        EXPORT_NAME ${component}
        VERSION ${PROJECT_VERSION}
        SOVERSION ${PROJECT_VERSION_MAJOR}
        POSITION_INDEPENDENT_CODE ON
        CXX_VISIBILITY_PRESET default
        VISIBILITY_INLINES_HIDDEN OFF)
endfunction()

# Installs `files`, paths from `from`, into the same folders under `to`.
function(payload_manager_install_files from files to)
    foreach(file IN LISTS files)
        get_filename_component(folder "${file}" DIRECTORY)
        install(FILES "${from}/${file}" DESTINATION "${to}/${folder}" COMPONENT payload_manager_dev)
    endforeach()
endfunction()

# Installs payload_manager::<component>: library, headers, and its part of the package.
function(payload_manager_install_library component)
    payload_manager_install_files(
        "${CMAKE_CURRENT_BINARY_DIR}/generated/${component}" "${${component}_headers}" "${CMAKE_INSTALL_INCLUDEDIR}")
    install(TARGETS payload_manager_${component}
        EXPORT payload_manager_${component}
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT payload_manager_dev
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT payload_manager
            NAMELINK_COMPONENT payload_manager_dev)
    install(EXPORT payload_manager_${component}
        FILE payload_manager-${component}-targets.cmake
        NAMESPACE payload_manager::
        DESTINATION "${PAYLOAD_MANAGER_INSTALL_CMAKEDIR}" COMPONENT payload_manager_dev)
    payload_manager_install_component(${component})
endfunction()
