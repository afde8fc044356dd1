/* A handle of Go's as a callback's userdata. It is a number: Go must never see it as a pointer. */
#include <tidegate.h>

#include "_cgo_export.h"

static void forward(void *userdata, int32_t level, tdg_str message) { tdgGoLog((uintptr_t)userdata, level, message); }

tdg_status tdg_go_set_log(tdg_options *options, uintptr_t log, int32_t level_max, tdg_error **error) {
    return tdg_options_set_log(options, forward, (void *)log, level_max, error);
}
