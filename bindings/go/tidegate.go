// Package tidegate takes metrics and events from many goroutines into a durable log, in your process.
//
// It is tidegate's C library in Go: the library is to be there, with its pkg-config file, before this package is built;
// README.md says how. What each call means stands in tidegate.h.
//
//	engine, err := tidegate.Open(tidegate.Options{Directory: "demo"})
//	load, err := engine.Series("load", tidegate.Label{Name: "host", Value: "a"})
//	writer, err := engine.Writer()
//	var batch tidegate.Batch
//	batch.Add(load, tidegate.Now, 0.5)
//	err = writer.Push(&batch)
//	token, err := writer.Flush()
//	err = writer.Wait(ctx, token) // on stable storage
//	err = engine.Close(ctx)
//
// Rows go over in batches: a call from Go to C costs as much as several samples.
//
// Engines and writers are closed by Close. What is forgotten is freed when it is collected, which PUBLISHES NOTHING: rows
// that a writer was given and that were not flushed go with it, unless the commit interval was faster.
//
// All methods may be called by any goroutines at once. A writer's pushes go one after the other, so that goroutines with
// a writer each are faster.
package tidegate

/*
#cgo pkg-config: tidegate
#include <tidegate.h>

static const int tdg_go_abi = TDG_ABI;
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// Now as a time is the system's clock at the call.
const Now int64 = C.TDG_TIME_NOW

// Version gives the linked library's version, such as "0.1.0".
func Version() string { return C.GoString(C.tdg_version()) }

// text lends a string for one call, which gets it by value.
func text(s string) C.tdg_str {
	if s == "" {
		return C.tdg_str{}
	}
	return C.tdg_str{ptr: (*C.char)(unsafe.Pointer(unsafe.StringData(s))), len: C.size_t(len(s))}
}

// pinned lends a string for a call that finds it in memory which it is given.
func pinned(pins *runtime.Pinner, s string) C.tdg_str {
	if s != "" {
		pins.Pin(unsafe.StringData(s))
	}
	return text(s)
}
