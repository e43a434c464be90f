# The targets of the C library, as the build and the installed package both define them.

# PAYLOAD_MANAGER_ABI is the number in the soname, of ffi/build.rs.
set(PAYLOAD_MANAGER_SO_NAME "libpayload_manager.so.${PAYLOAD_MANAGER_ABI}")
# What Rust's own library needs, for those who link statically.
set(PAYLOAD_MANAGER_STATIC_NEEDS gcc_s util rt pthread m dl)

# payload_manager::client and payload_manager::client_static, of libraries in `libraries` and headers in `headers`.
function(payload_manager_define_client libraries headers)
    if(TARGET payload_manager::client)
        return()
    endif()
    add_library(payload_manager::client SHARED IMPORTED GLOBAL)
    set_target_properties(payload_manager::client PROPERTIES
        IMPORTED_LOCATION "${libraries}/${PAYLOAD_MANAGER_SO_NAME}"
        IMPORTED_SONAME "${PAYLOAD_MANAGER_SO_NAME}"
        INTERFACE_INCLUDE_DIRECTORIES "${headers}")
    add_library(payload_manager::client_static STATIC IMPORTED GLOBAL)
    set_target_properties(payload_manager::client_static PROPERTIES
        IMPORTED_LOCATION "${libraries}/libpayload_manager.a"
        IMPORTED_LINK_INTERFACE_LANGUAGES C
        INTERFACE_INCLUDE_DIRECTORIES "${headers}"
        INTERFACE_LINK_LIBRARIES "${PAYLOAD_MANAGER_STATIC_NEEDS}")
endfunction()
