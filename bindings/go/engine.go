package tidegate

// #include <stdlib.h>
// #include <tidegate.h>
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/cgo"
	"unsafe"
)

// Options are what an engine is told when it is opened.
type Options struct {
	// Directory is the data directory, made if it is missing.
	Directory string
	// Set has further options: keys and values are those of the configuration file, sections and keys joined by a
	// dot: "data.retention": "15d". tidegate.h lists them.
	Set map[string]string
	// Log is told the engine's messages of LogLevel and graver. It is called by several threads at once, must return
	// soon, and must not call the engine nor panic. Without it an engine says nothing.
	Log func(Level, string)
	// LogLevel is LogInfo unless said.
	LogLevel Level
}

// Label is a label of a series.
type Label struct{ Name, Value string }

// Series is a registered series: a number, good for every writer of its engine.
type Series uint64

// Engine is an engine on a data directory.
type Engine struct{ handle *handle }

// Open opens a data directory and starts the engine's threads.
//
// Errors: ErrLocked if another engine has the directory, ErrConfig, ErrIncompatible, ErrIO.
func Open(options Options) (*Engine, error) {
	if linked := C.tdg_abi_version(); linked < C.TDG_ABI {
		return nil, fmt.Errorf("%w: the linked library's ABI is %d, the header's %d", ErrIncompatible, linked, C.TDG_ABI)
	}
	made := C.tdg_options_new()
	defer C.tdg_options_free(made)
	set := func(key, value string) error {
		var why *C.tdg_error
		return explained(C.tdg_options_set(made, text(key), text(value), &why), why)
	}
	if options.Directory != "" {
		if err := set("data.directory", options.Directory); err != nil {
			return nil, err
		}
	}
	for key, value := range options.Set {
		if err := set(key, value); err != nil {
			return nil, err
		}
	}
	unlog := func() {}
	if options.Log != nil {
		log := cgo.NewHandle(options.Log)
		unlog = log.Delete
		if err := setLog(made, log, options.LogLevel); err != nil {
			unlog()
			return nil, err
		}
	}
	var engine *C.tdg_engine
	var why *C.tdg_error
	if err := explained(C.tdg_engine_open(made, &engine, &why), why); err != nil {
		unlog()
		return nil, err
	}
	return &Engine{own(unsafe.Pointer(engine), func(ptr unsafe.Pointer) {
		C.tdg_engine_free((*C.tdg_engine)(ptr))
		unlog() // Nothing is logged any more.
	})}, nil
}

// call makes a cold call on the engine.
func (e *Engine) call(what func(engine *C.tdg_engine, why **C.tdg_error) C.tdg_status) error {
	ptr, err := e.handle.hold()
	if err != nil {
		return err
	}
	defer e.handle.drop()
	var why *C.tdg_error
	status := what((*C.tdg_engine)(ptr), &why)
	return explained(status, why)
}

// Close commits what was pushed, seals the log, ends the engine's threads and frees the directory. If the context ends
// first the error is ErrTimeout and the context's: closing goes on, and Close may be called again. With any other error
// the engine is closed, too; what is left of it has gone when Close returns, or soon after the end of the context. On a
// closed engine it does nothing.
func (e *Engine) Close(ctx context.Context) error {
	err := await(ctx, func(timeoutNS C.int64_t) error {
		err := e.call(func(engine *C.tdg_engine, why **C.tdg_error) C.tdg_status {
			return C.tdg_engine_close(engine, timeoutNS, why)
		})
		if errors.Is(err, ErrTimeout) {
			return errNotYet
		}
		return err
	})
	switch {
	case err == nil || errors.Is(err, ErrClosed):
		e.handle.close() // Its threads have ended: there is nothing to wait for.
		return nil
	case errors.Is(err, ErrTimeout):
		return err
	default:
		// A poisoned engine is waited for while it is freed, for seconds.
		e.handle.closeWithin(ctx)
		return err
	}
}

// Series makes a series known by its name and labels: once for its life, not once a row. The same name and labels give
// the same series.
//
// Errors: ErrInput for labels that cannot be, ErrLimit if limits.series_max are registered.
func (e *Engine) Series(name string, labels ...Label) (Series, error) {
	var pins runtime.Pinner
	defer pins.Unpin()
	lent := make([]C.tdg_label, len(labels))
	for i, label := range labels {
		lent[i] = C.tdg_label{name: pinned(&pins, label.Name), value: pinned(&pins, label.Value)}
	}
	var series C.tdg_series
	err := e.call(func(engine *C.tdg_engine, why **C.tdg_error) C.tdg_status {
		return C.tdg_engine_series(engine, text(name), unsafe.SliceData(lent), C.size_t(len(lent)), &series, why)
	})
	return Series(series), err
}

// Release takes a registration back, when what the series is about has gone.
func (e *Engine) Release(series Series) error {
	return e.call(func(engine *C.tdg_engine, _ **C.tdg_error) C.tdg_status {
		return C.tdg_engine_release(engine, C.tdg_series(series))
	})
}

// Stats are counts since the engine was opened.
type Stats struct {
	RowsAccepted, SamplesAccepted, RowsRejected, RowsDiscarded, RowsInDoubt, RowsFarOff uint64
	Series, SeriesRegistered                                                            uint64
	Commits, CommitsFailed, CommittedBytes, MemoryBytes                                 uint64
}

// Stats gives what the engine counts; tidegate.h says what each is.
func (e *Engine) Stats() (Stats, error) {
	var s C.tdg_stats
	err := e.call(func(engine *C.tdg_engine, _ **C.tdg_error) C.tdg_status {
		return C.tdg_engine_stats(engine, &s, C.sizeof_tdg_stats)
	})
	return Stats{
		RowsAccepted: uint64(s.rows_accepted), SamplesAccepted: uint64(s.samples_accepted),
		RowsRejected: uint64(s.rows_rejected), RowsDiscarded: uint64(s.rows_discarded),
		RowsInDoubt: uint64(s.rows_in_doubt), RowsFarOff: uint64(s.rows_far_off),
		Series: uint64(s.series), SeriesRegistered: uint64(s.series_registered),
		Commits: uint64(s.commits), CommitsFailed: uint64(s.commits_failed),
		CommittedBytes: uint64(s.committed_bytes), MemoryBytes: uint64(s.memory_bytes),
	}, err
}
