/* The structs as every binding and every compiled program knows them. */
#include "kit.h"

#ifdef __cplusplus
#define _Static_assert static_assert
#endif

_Static_assert(sizeof(void *) != 8 || sizeof(tdg_str) == 16, "tdg_str");
_Static_assert(offsetof(tdg_str, len) == sizeof(void *), "tdg_str.len");
_Static_assert(sizeof(tdg_label) == 2 * sizeof(tdg_str), "tdg_label");
_Static_assert(sizeof(tdg_value) == 16, "tdg_value");
_Static_assert(sizeof(void *) != 8 || sizeof(tdg_field) == 40, "tdg_field");
_Static_assert(sizeof(void *) != 8 || offsetof(tdg_field, kind) == 32, "tdg_field.kind");
_Static_assert(sizeof(void *) != 8 || sizeof(tdg_column) == 32, "tdg_column");
_Static_assert(sizeof(void *) != 8 || offsetof(tdg_column, kind) == 24, "tdg_column.kind");
_Static_assert(sizeof(void *) != 8 || sizeof(tdg_written) == 48, "tdg_written");
_Static_assert(sizeof(tdg_stats) >= 96 && offsetof(tdg_stats, memory_bytes) == 88, "tdg_stats");
_Static_assert(sizeof(tdg_block) == 48 && offsetof(tdg_block, log) == 32, "tdg_block");
_Static_assert(sizeof(tdg_cursor_stats) >= 48 && offsetof(tdg_cursor_stats, bytes_lost) == 40, "tdg_cursor_stats");
_Static_assert(sizeof(tdg_status) == 4 && sizeof(tdg_series) == 8 && sizeof(tdg_token) == 8, "numbers");
_Static_assert(TDG_OK == 0 && TDG_E_INTERNAL == 16 && TDG_TIME_NOW == INT64_MIN, "constants");

static const tdg_label labels[] = {{TDG_STR_INIT("a"), TDG_STR_INIT("bc")}};

int main(void) {
    CHECK(tdg_abi_version() >= TDG_ABI);
    CHECK(strcmp(tdg_version(), TDG_VERSION) == 0);
    CHECK(TDG_STR("abc").len == 3 && TDG_CSTR("ab").len == 2);
    CHECK(labels[0].name.len == 1 && strcmp(labels[0].value.ptr, "bc") == 0 && labels[0].value.len == 2);
    return 0;
}
