package tidegate

// #include <tidegate.h>
import "C"

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"
	"unsafe"
)

// handle owns one of C's. C wants that no call is under way on what is freed: calls hold the handle, and the last to let
// go of a closed one frees it. Closing waits for none of them, whatever they wait for.
type handle struct {
	life   sync.Mutex
	calls  int
	closed bool
	ptr    unsafe.Pointer
	free   func(unsafe.Pointer)
}

func own(ptr unsafe.Pointer, free func(unsafe.Pointer)) *handle {
	h := &handle{ptr: ptr, free: free}
	// Freeing an engine may take seconds, and the runtime has one goroutine for all finalizers.
	runtime.SetFinalizer(h, func(h *handle) { go h.close() })
	return h
}

// hold gives what is owned, until drop.
func (h *handle) hold() (unsafe.Pointer, error) {
	h.life.Lock()
	defer h.life.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	h.calls++
	return h.ptr, nil
}

func (h *handle) drop() {
	h.life.Lock()
	defer h.life.Unlock()
	h.calls--
	if h.closed && h.calls == 0 {
		// Freeing may take longer than the call that ends here.
		go h.free(h.ptr)
	}
}

// close frees what is owned: before it returns, or when the calls that are under way have ended.
func (h *handle) close() {
	h.life.Lock()
	first := !h.closed
	h.closed = true
	idle := h.calls == 0
	h.life.Unlock()
	if first {
		runtime.SetFinalizer(h, nil)
		if idle {
			h.free(h.ptr)
		}
	}
}

// closeWithin closes, and waits for that no longer than the context lasts.
func (h *handle) closeWithin(ctx context.Context) {
	freed := make(chan struct{})
	go func() {
		defer close(freed)
		h.close()
	}()
	select {
	case <-freed:
	case <-ctx.Done():
	}
}

// serial is a handle that C wants one call at a time on.
type serial struct {
	handle *handle
	turn   sync.Mutex
}

// enter waits for its turn and holds the handle, until leave.
func (s *serial) enter() (unsafe.Pointer, error) {
	s.turn.Lock()
	ptr, err := s.handle.hold()
	if err != nil {
		s.turn.Unlock()
	}
	return ptr, err
}

func (s *serial) leave() {
	s.handle.drop()
	s.turn.Unlock()
}

// slice is how long a call waits in C before it looks at its context, and lets go of its handle.
const slice = 10 * time.Millisecond

// await repeats a call that waits, until it has an answer or the context has ended. One that has ended before still
// gets the answer that is there already.
func await(ctx context.Context, call func(timeoutNS C.int64_t) error) error {
	for {
		timeout, last := slice, ctx.Err() != nil
		if deadline, ok := ctx.Deadline(); ok && !last {
			timeout = min(timeout, max(time.Until(deadline), 0))
		}
		if last {
			timeout = 0
		}
		switch err := call(C.int64_t(timeout)); {
		case err != errNotYet:
			return err
		case last:
			return fmt.Errorf("%w: %w", ErrTimeout, context.Cause(ctx))
		case timeout == 0:
			// The deadline is there, and the context's own timer will be in a moment.
			<-ctx.Done()
		}
	}
}

// errNotYet is a waiting call's answer that does not leave await.
var errNotYet error = ErrTimeout
