# Finds Protobuf and gRPC: for the build of the contract's libraries and, installed, for those who use them.
#
# Each function says X_FOUND, and in X_MISSING what is to be done about it. None of them fails by itself: whoever asked
# knows whether that is fatal.

set(PAYLOAD_MANAGER_PROTOBUF_OLDEST 3.21)

# protobuf::libprotobuf, and PAYLOAD_MANAGER_PROTOC with PAYLOAD_MANAGER_PROTOC_INCLUDES to build with.
macro(payload_manager_find_protobuf)
    if(NOT TARGET protobuf::libprotobuf)
        # Its own package first: from version 22 on only that knows of Abseil. Debian 12 has none: then CMake's module.
        find_package(Protobuf CONFIG QUIET)
        if(NOT TARGET protobuf::libprotobuf)
            find_package(Protobuf MODULE QUIET)
        endif()
    endif()
    set(PAYLOAD_MANAGER_PROTOBUF_FOUND OFF)
    if(NOT TARGET protobuf::libprotobuf)
        set(PAYLOAD_MANAGER_PROTOBUF_MISSING
            "Protobuf for C++ is not here (Debian: libprotobuf-dev and protobuf-compiler)")
    elseif(DEFINED Protobuf_VERSION AND Protobuf_VERSION VERSION_LESS PAYLOAD_MANAGER_PROTOBUF_OLDEST)
        set(PAYLOAD_MANAGER_PROTOBUF_MISSING
            "Protobuf ${Protobuf_VERSION} is too old; ${PAYLOAD_MANAGER_PROTOBUF_OLDEST} is needed")
    else()
        set(PAYLOAD_MANAGER_PROTOBUF_FOUND ON)
    endif()
    set(PAYLOAD_MANAGER_PROTOC_INCLUDES)
    foreach(folder IN LISTS Protobuf_INCLUDE_DIRS protobuf_SOURCE_DIR)
        if(EXISTS "${folder}/src/google/protobuf/timestamp.proto")
            set(PAYLOAD_MANAGER_PROTOC_INCLUDES -I "${folder}/src")
        elseif(EXISTS "${folder}/google/protobuf/timestamp.proto")
            set(PAYLOAD_MANAGER_PROTOC_INCLUDES -I "${folder}")
        endif()
    endforeach()
    if(NOT PAYLOAD_MANAGER_PROTOC)
        set(PAYLOAD_MANAGER_PROTOC "$<TARGET_FILE:protobuf::protoc>")
    endif()
endmacro()

# gRPC::grpc++.
macro(payload_manager_find_grpc)
    if(NOT TARGET gRPC::grpc++)
        find_package(gRPC CONFIG QUIET)
    endif()
    set(PAYLOAD_MANAGER_GRPC_FOUND OFF)
    if(TARGET gRPC::grpc++)
        set(PAYLOAD_MANAGER_GRPC_FOUND ON)
    else()
        set(PAYLOAD_MANAGER_GRPC_MISSING "gRPC for C++ is not here (Debian: libgrpc++-dev and protobuf-compiler-grpc)")
    endif()
endmacro()

# PAYLOAD_MANAGER_GRPC_PLUGIN, to build with. Debian's package does not name it.
macro(payload_manager_find_grpc_plugin)
    if(NOT PAYLOAD_MANAGER_GRPC_PLUGIN)
        if(TARGET gRPC::grpc_cpp_plugin)
            set(PAYLOAD_MANAGER_GRPC_PLUGIN "$<TARGET_FILE:gRPC::grpc_cpp_plugin>")
        else()
            find_program(PAYLOAD_MANAGER_GRPC_PLUGIN grpc_cpp_plugin DOC "protoc's plugin for gRPC in C++")
        endif()
    endif()
    if(NOT PAYLOAD_MANAGER_GRPC_PLUGIN)
        set(PAYLOAD_MANAGER_GRPC_FOUND OFF)
        set(PAYLOAD_MANAGER_GRPC_MISSING "protoc's plugin for gRPC is not here (Debian: protobuf-compiler-grpc)")
    endif()
endmacro()
