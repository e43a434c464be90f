# What find_package(payload_manager) reads. Components, each a target payload_manager::<name>:
#
#   proto    the messages of the contract                 needs Protobuf
#   grpc     the stubs of its services                    needs gRPC, and proto
#   client   the C library: payload_manager.h and .hpp    needs nothing
#
# Which of them are there depends on what was installed. Without COMPONENTS all that can be had are defined.

set(payload_manager_known proto grpc client)
set(payload_manager_wanted ${payload_manager_FIND_COMPONENTS})
if(NOT payload_manager_wanted)
    set(payload_manager_wanted ${payload_manager_known})
endif()

set(payload_manager_FOUND TRUE)
set(payload_manager_reasons)
foreach(payload_manager_component IN LISTS payload_manager_wanted)
    set(payload_manager_${payload_manager_component}_FOUND FALSE)
    set(payload_manager_missing "it is not installed")
    if(NOT payload_manager_component IN_LIST payload_manager_known)
        set(payload_manager_missing "there is no such component")
    else()
        include("${CMAKE_CURRENT_LIST_DIR}/payload_manager-${payload_manager_component}.cmake" OPTIONAL)
    endif()
    if(NOT payload_manager_${payload_manager_component}_FOUND)
        list(APPEND payload_manager_reasons "${payload_manager_component}: ${payload_manager_missing}")
        if(payload_manager_FIND_REQUIRED_${payload_manager_component})
            set(payload_manager_FOUND FALSE)
        endif()
    endif()
endforeach()

if(NOT payload_manager_FIND_COMPONENTS)
    set(payload_manager_FOUND FALSE)
    foreach(payload_manager_component IN LISTS payload_manager_known)
        if(payload_manager_${payload_manager_component}_FOUND)
            set(payload_manager_FOUND TRUE)
        endif()
    endforeach()
endif()
if(NOT payload_manager_FOUND)
    list(JOIN payload_manager_reasons "; " payload_manager_NOT_FOUND_MESSAGE)
endif()

unset(payload_manager_known)
unset(payload_manager_wanted)
unset(payload_manager_reasons)
unset(payload_manager_missing)
unset(payload_manager_component)
