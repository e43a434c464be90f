# What only the installation of the C library needs.

# Installs payload_manager.pc. It finds its folders from where it lies itself, so that the prefix can be moved.
function(payload_manager_install_pkg_config)
    set(folder "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
    file(RELATIVE_PATH up "/prefix/${folder}" "/prefix")
    string(REGEX REPLACE "/$" "" up "${up}")
    set(pc_prefix "\${pcfiledir}/${up}")
    list(TRANSFORM PAYLOAD_MANAGER_STATIC_NEEDS PREPEND "-l" OUTPUT_VARIABLE needs)
    list(JOIN needs " " pc_needs)
    set(made "${CMAKE_CURRENT_BINARY_DIR}/package/payload_manager.pc")
    configure_file("cmake/payload_manager.pc.in" "${made}" @ONLY)
    install(FILES "${made}" DESTINATION "${folder}" COMPONENT payload_manager_dev)
endfunction()
