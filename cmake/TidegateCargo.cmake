# Finds cargo, and makes targets of what it builds.

# What a static link needs of the system; the tests compare it with what rustc says.
if(APPLE)
    set(TIDEGATE_NATIVE_LIBRARIES -framework CoreFoundation -liconv -lSystem -lc -lm)
else()
    set(TIDEGATE_NATIVE_LIBRARIES -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc)
endif()

# Reads the version, and which Rust is wanted, from the crate's manifest; the number of the ABI from the header.
macro(tidegate_read_manifest manifest)
    file(STRINGS "${manifest}" _tidegate_line REGEX "^version = " LIMIT_COUNT 1)
    string(REGEX REPLACE ".*\"(.*)\".*" "\\1" TIDEGATE_VERSION "${_tidegate_line}")
    file(STRINGS "${manifest}" _tidegate_line REGEX "^rust-version = " LIMIT_COUNT 1)
    string(REGEX REPLACE ".*\"(.*)\".*" "\\1" TIDEGATE_RUST_VERSION "${_tidegate_line}")
    get_filename_component(_tidegate_root "${manifest}" DIRECTORY)
    file(STRINGS "${_tidegate_root}/include/tidegate.h" _tidegate_line REGEX "^#define TDG_ABI " LIMIT_COUNT 1)
    string(REGEX REPLACE "#define TDG_ABI " "" TIDEGATE_ABI "${_tidegate_line}")
endmacro()

function(tidegate_find_cargo)
    find_program(TIDEGATE_CARGO cargo PATHS "$ENV{CARGO_HOME}/bin" "$ENV{HOME}/.cargo/bin")
    if(TIDEGATE_CARGO AND NOT EXISTS "${TIDEGATE_CARGO}")
        message(FATAL_ERROR "TIDEGATE_CARGO is ${TIDEGATE_CARGO}, which is not there")
    endif()
    if(NOT TIDEGATE_CARGO)
        message(FATAL_ERROR "tidegate is built by cargo, which is not here: install Rust ${TIDEGATE_RUST_VERSION}, "
            "or set TIDEGATE_CARGO")
    endif()
    execute_process(COMMAND "${TIDEGATE_CARGO}" --version OUTPUT_VARIABLE found RESULT_VARIABLE failed)
    string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" version "${found}")
    if(failed OR version VERSION_LESS TIDEGATE_RUST_VERSION)
        message(FATAL_ERROR "tidegate needs Rust ${TIDEGATE_RUST_VERSION} or newer; ${TIDEGATE_CARGO} is "
            "of ${version}")
    endif()
    message(STATUS "tidegate ${TIDEGATE_VERSION}: built by cargo ${version}, profile ${TIDEGATE_PROFILE}")
endfunction()

# Targets tidegate::static and tidegate::shared, built under TIDEGATE_OUT when a source is newer.
function(tidegate_add_libraries)
    set(lib "${TIDEGATE_OUT}/lib")
    set(static "${lib}/libtidegate.a")
    if(APPLE)
        set(shared "${lib}/libtidegate.${TIDEGATE_ABI}.dylib")
        set(link "${lib}/libtidegate.dylib")
    else()
        set(shared "${lib}/libtidegate.so.${TIDEGATE_ABI}")
        set(link "${lib}/libtidegate.so")
    endif()
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/src/*.rs")
    add_custom_command(
        OUTPUT "${static}" "${shared}" "${link}"
        COMMAND "${CMAKE_COMMAND}" -E env "CARGO=${TIDEGATE_CARGO}"
            "${CMAKE_CURRENT_SOURCE_DIR}/bindings/c/build.sh" "${TIDEGATE_OUT}" "${TIDEGATE_PROFILE}"
        DEPENDS ${sources} "${CMAKE_CURRENT_SOURCE_DIR}/Cargo.toml" "${CMAKE_CURRENT_SOURCE_DIR}/Cargo.lock"
            "${CMAKE_CURRENT_SOURCE_DIR}/bindings/c/build.sh" "${CMAKE_CURRENT_SOURCE_DIR}/include/tidegate.h"
            "${CMAKE_CURRENT_SOURCE_DIR}/bindings/cpp/tidegate.hpp"
        COMMENT "tidegate: cargo builds the libraries" USES_TERMINAL VERBATIM)
    add_custom_target(tidegate_libraries ALL DEPENDS "${static}" "${shared}" "${link}")

    set(include "${CMAKE_CURRENT_SOURCE_DIR}/include" "${CMAKE_CURRENT_SOURCE_DIR}/bindings/cpp")
    add_library(tidegate::static STATIC IMPORTED GLOBAL)
    set_target_properties(tidegate::static PROPERTIES
        IMPORTED_LOCATION "${static}"
        INTERFACE_INCLUDE_DIRECTORIES "${include}"
        INTERFACE_LINK_LIBRARIES "${TIDEGATE_NATIVE_LIBRARIES}")
    add_library(tidegate::shared SHARED IMPORTED GLOBAL)
    set_target_properties(tidegate::shared PROPERTIES
        IMPORTED_LOCATION "${shared}"
        IMPORTED_SONAME "libtidegate.so.${TIDEGATE_ABI}"
        INTERFACE_INCLUDE_DIRECTORIES "${include}")
    if(APPLE)
        set_target_properties(tidegate::shared PROPERTIES IMPORTED_SONAME "@rpath/libtidegate.${TIDEGATE_ABI}.dylib")
    endif()
    add_dependencies(tidegate::static tidegate_libraries)
    add_dependencies(tidegate::shared tidegate_libraries)
    set(TIDEGATE_STATIC_FILE "${static}" PARENT_SCOPE)
    set(TIDEGATE_SHARED_FILE "${shared}" PARENT_SCOPE)
    set(TIDEGATE_SHARED_LINK "${link}" PARENT_SCOPE)
endfunction()
