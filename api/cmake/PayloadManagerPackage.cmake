# The package `payload_manager`, as api/ and ffi/ install it: one package of components that are found by themselves.
# Both install the same files for what is common, so either can be installed first, alone, or again.

# As in Cargo.toml; a test compares.
set(PAYLOAD_MANAGER_VERSION 0.1.0)
set(PAYLOAD_MANAGER_PACKAGE_DIR "${CMAKE_CURRENT_LIST_DIR}")

# The options common to both, and the folders to install into.
macro(payload_manager_options)
    include(GNUInstallDirs)
    include(CMakePackageConfigHelpers)
    set(payload_manager_is_top OFF)
    if(CMAKE_SOURCE_DIR STREQUAL PROJECT_SOURCE_DIR)
        set(payload_manager_is_top ON)
    endif()
    option(PAYLOAD_MANAGER_INSTALL "Install the targets of payload_manager" ${payload_manager_is_top})
    set(PAYLOAD_MANAGER_INSTALL_CMAKEDIR "${CMAKE_INSTALL_LIBDIR}/cmake/payload_manager")
    set(PAYLOAD_MANAGER_INSTALL_PROTODIR "${CMAKE_INSTALL_DATADIR}/payload_manager/proto")
endmacro()

# Installs the file that defines payload_manager::<component>.
function(payload_manager_install_component component)
    set(made "${CMAKE_CURRENT_BINARY_DIR}/package/payload_manager-${component}.cmake")
    configure_package_config_file("cmake/payload_manager-${component}.cmake.in" "${made}"
        INSTALL_DESTINATION "${PAYLOAD_MANAGER_INSTALL_CMAKEDIR}"
        PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR PAYLOAD_MANAGER_INSTALL_PROTODIR
        NO_CHECK_REQUIRED_COMPONENTS_MACRO)
    install(FILES "${made}" DESTINATION "${PAYLOAD_MANAGER_INSTALL_CMAKEDIR}" COMPONENT payload_manager_dev)
endfunction()

# Installs what find_package(payload_manager) reads first.
function(payload_manager_install_package)
    set(made "${CMAKE_CURRENT_BINARY_DIR}/package/payload_managerConfigVersion.cmake")
    write_basic_package_version_file("${made}" VERSION ${PAYLOAD_MANAGER_VERSION} COMPATIBILITY SameMinorVersion)
    install(FILES "${made}" "${PAYLOAD_MANAGER_PACKAGE_DIR}/payload_managerConfig.cmake"
        DESTINATION "${PAYLOAD_MANAGER_INSTALL_CMAKEDIR}" COMPONENT payload_manager_dev)
endfunction()
