package tidegate

// #include <tidegate.h>
import "C"

import "errors"

// Status says why a call failed. Errors of this package are found by it: errors.Is(err, tidegate.ErrFull).
type Status int32

// What calls fail with. Their meaning in full stands in tidegate.h.
const (
	// ErrNull: a pointer is missing that may not be.
	ErrNull Status = C.TDG_E_NULL
	// ErrInput: the caller's to mend: text that is no UTF-8, two labels of one name, a series that is none.
	ErrInput Status = C.TDG_E_INPUT
	// ErrRejected: of a body, some rows were rejected. The others are taken.
	ErrRejected Status = C.TDG_E_REJECTED
	// ErrLimit: a bound is reached: too many series, too large a row. It will not be taken later.
	ErrLimit Status = C.TDG_E_LIMIT
	// ErrFull: the engine has no room, and the wait for some is over: push the rest again later.
	ErrFull Status = C.TDG_E_FULL
	// ErrTimeout: the time is over. What was waited for may still come.
	ErrTimeout Status = C.TDG_E_TIMEOUT
	// ErrInDoubt: a commit failed: each of the rows will be found on disk, or not.
	ErrInDoubt Status = C.TDG_E_IN_DOUBT
	// ErrClosed: the engine, or the handle itself, is closed.
	ErrClosed Status = C.TDG_E_CLOSED
	// ErrConfig: an option is not known, or its value is not understood.
	ErrConfig Status = C.TDG_E_CONFIG
	// ErrLocked: somebody else has it open: the data directory, or the cursor.
	ErrLocked Status = C.TDG_E_LOCKED
	// ErrIO: the operating system refused.
	ErrIO Status = C.TDG_E_IO
	// ErrCorrupt: what is on disk is not what was written there.
	ErrCorrupt Status = C.TDG_E_CORRUPT
	// ErrIncompatible: the directory, or the linked library, is of a version that does not go with this one.
	ErrIncompatible Status = C.TDG_E_INCOMPATIBLE
	// ErrForked: this process was forked from the one that made the handle.
	ErrForked Status = C.TDG_E_FORKED
	// ErrPoisoned: a panic struck this handle before.
	ErrPoisoned Status = C.TDG_E_POISONED
	// ErrInternal: a bug of tidegate's, whose message stands on stderr.
	ErrInternal Status = C.TDG_E_INTERNAL
)

// Error gives the status in words.
func (s Status) Error() string { return "tidegate: " + C.GoString(C.tdg_status_text(C.tdg_status(s))) }

// InDoubt says whether rows may be on disk after this error: who sends them again may have them twice, who does not may
// lack them. ErrTimeout is no answer yet: ask again.
func InDoubt(err error) bool {
	var status Status
	return errors.As(err, &status) && bool(C.tdg_status_in_doubt(C.tdg_status(status)))
}

// Error is what went wrong, where the library tells more than a status.
type Error struct {
	Status  Status
	Message string
}

// Error gives the message.
func (e *Error) Error() string { return "tidegate: " + e.Message }

// Unwrap gives the status, for errors.Is.
func (e *Error) Unwrap() error { return e.Status }

// failure makes an error of what a hot call answered, without allocating.
func failure(status C.tdg_status) error {
	if status == C.TDG_OK {
		return nil
	}
	return Status(status)
}

// explained makes an error of what a cold call answered, and frees why.
func explained(status C.tdg_status, why *C.tdg_error) error {
	if status == C.TDG_OK || why == nil {
		return failure(status)
	}
	defer C.tdg_error_free(why)
	message := C.tdg_error_message(why)
	return &Error{
		Status:  Status(status),
		Message: C.GoStringN(message.ptr, C.int(message.len)),
	}
}
