package tidegate

/*
#include <stdlib.h>
#include <tidegate.h>

static int tdg_go_next(struct ArrowArrayStream *stream, struct ArrowArray *batch) {
    return stream->get_next(stream, batch);
}
static const char *tdg_go_last_error(struct ArrowArrayStream *stream) { return stream->get_last_error(stream); }
static void tdg_go_release_stream(struct ArrowArrayStream *stream) {
    if (stream->release) stream->release(stream);
}
static void tdg_go_release_batch(struct ArrowArray *batch) {
    if (batch->release) batch->release(batch);
}
*/
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"
)

// Stream is a stream of Arrow's record batches, one value a row; docs/arrow.md lists the columns. It is for one goroutine
// at a time.
//
// Read it by Each, or hand Pointer to an Arrow library:
//
//	defer stream.Close()
//	records, err := cdata.ImportCRecordReader((*cdata.CArrowArrayStream)(stream.Pointer()), nil)
type Stream struct{ stream *C.struct_ArrowArrayStream }

func newStream() *Stream {
	s := &Stream{(*C.struct_ArrowArrayStream)(C.calloc(1, C.sizeof_struct_ArrowArrayStream))}
	runtime.SetFinalizer(s, (*Stream).Close)
	return s
}

func (s *Stream) c() *C.struct_ArrowArrayStream { return s.stream }

// Pointer gives a struct ArrowArrayStream of C's, good until Close, or until the stream is collected: a Close that is yet to
// come keeps it. Who imports it takes what is in it; the struct stays the stream's. It is nil when the stream is closed.
func (s *Stream) Pointer() unsafe.Pointer { return unsafe.Pointer(s.stream) }

// Close releases what nobody has taken. On a closed stream it does nothing. The error is nil, for io.Closer.
func (s *Stream) Close() error {
	if s.stream != nil {
		C.tdg_go_release_stream(s.stream)
		C.free(unsafe.Pointer(s.stream))
		s.stream = nil
		runtime.SetFinalizer(s, nil)
	}
	return nil
}

// Each gives the values of the batches that are left, one by one, until there is none or take fails. What it gives is
// Go's and may be kept.
func (s *Stream) Each(take func(Value) error) error {
	defer runtime.KeepAlive(s)
	for s.stream != nil && s.stream.release != nil {
		more, err := s.batch(take)
		if err != nil || !more {
			return err
		}
	}
	return ErrClosed
}

// batch gives the values of the next batch, if there is one.
func (s *Stream) batch(take func(Value) error) (bool, error) {
	// C's memory: what lies there are pointers of C's that others follow.
	batch := (*C.struct_ArrowArray)(C.calloc(1, C.sizeof_struct_ArrowArray))
	defer C.free(unsafe.Pointer(batch))
	if failed := C.tdg_go_next(s.stream, batch); failed != 0 {
		return false, fmt.Errorf("%w: %s", ErrIO, C.GoString(C.tdg_go_last_error(s.stream)))
	}
	if batch.release == nil {
		return false, nil
	}
	defer C.tdg_go_release_batch(batch)
	return true, each(batch, take)
}
