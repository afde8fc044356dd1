package tidegate

/*
#include <tidegate.h>

tdg_status tdg_go_set_log(tdg_options *options, uintptr_t log, int32_t level_max, tdg_error **error);
*/
import "C"

import "runtime/cgo"

// Level is how grave a message is.
type Level int32

// The levels, from the gravest on.
const (
	LogError Level = C.TDG_LOG_ERROR
	LogWarn  Level = C.TDG_LOG_WARN
	LogInfo  Level = C.TDG_LOG_INFO
	LogDebug Level = C.TDG_LOG_DEBUG
)

// setLog has messages come to a func(Level, string) behind a handle, which goes over by value: C keeps it, and it is no
// pointer.
func setLog(options *C.tdg_options, log cgo.Handle, level Level) error {
	if level == 0 {
		level = LogInfo
	}
	var why *C.tdg_error
	return explained(C.tdg_go_set_log(options, C.uintptr_t(log), C.int32_t(level), &why), why)
}

//export tdgGoLog
func tdgGoLog(log C.uintptr_t, level C.int32_t, message C.tdg_str) {
	cgo.Handle(log).Value().(func(Level, string))(Level(level), C.GoStringN(message.ptr, C.int(message.len)))
}
