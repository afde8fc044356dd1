package tidegate

// #include <tidegate.h>
import "C"

import (
	"context"
	"time"
	"unsafe"
)

// Writer is a way into an engine: one for each goroutine that pushes much. Rows lie in it until it is flushed, its batch
// is full, or the commit interval is over.
type Writer struct {
	serial
	// Of the push whose turn it is; none before the first.
	columns *columns
	// Kept from being collected, which would close it.
	engine *Engine
}

// Token stands for the rows that one flush handed over, of the writer that gave it.
type Token uint64

// Writer makes a writer.
func (e *Engine) Writer() (*Writer, error) {
	var writer *C.tdg_writer
	err := e.call(func(engine *C.tdg_engine, why **C.tdg_error) C.tdg_status {
		return C.tdg_writer_new(engine, &writer, why)
	})
	if err != nil {
		return nil, err
	}
	free := func(ptr unsafe.Pointer) { C.tdg_writer_free((*C.tdg_writer)(ptr)) }
	return &Writer{serial: serial{handle: own(unsafe.Pointer(writer), free)}, engine: e}, nil
}

// enter begins a call that pushes; leave ends it.
func (w *Writer) enter() (*C.tdg_writer, error) {
	ptr, err := w.serial.enter()
	return (*C.tdg_writer)(ptr), err
}

// Push pushes what a batch holds, a thousand samples in a call of C's, and empties it. If not all was taken, the error says why, and
// what was not taken is what the batch still holds: with ErrFull push it again later.
//
// Errors: ErrFull after at most the writer's wait for room; ErrInput and ErrLimit for a sample that is never taken,
// which is the batch's first then; ErrClosed, ErrPoisoned.
func (w *Writer) Push(batch *Batch) error {
	writer, err := w.enter()
	if err != nil {
		return err
	}
	defer w.leave()
	if w.columns == nil {
		w.columns = new(columns)
	}
	all := 0
	for all < len(batch.samples) && err == nil {
		var taken C.size_t
		c := w.columns
		count := C.size_t(c.set(batch.samples[all:]))
		err = failure(C.tdg_writer_push_samples(writer, &c.series[0], &c.times[0], &c.values[0], count, &taken))
		all += int(taken)
	}
	batch.Skip(all)
	return err
}

// PushTimes pushes samples of one series: a time in nanoseconds for each value. It gives how many were taken, from the
// first on, and why it was not all.
func (w *Writer) PushTimes(series Series, timesNS []int64, values []float64) (int, error) {
	if len(timesNS) != len(values) {
		return 0, ErrInput
	}
	writer, err := w.enter()
	if err != nil {
		return 0, err
	}
	defer w.leave()
	var taken C.size_t
	status := C.tdg_writer_push_times(writer, C.tdg_series(series), (*C.int64_t)(unsafe.SliceData(timesNS)),
		(*C.double)(unsafe.SliceData(values)), C.size_t(len(values)), &taken)
	return int(taken), failure(status)
}

// PushSeries pushes samples of one time, a series for each value. It gives how many were taken, as PushTimes.
func (w *Writer) PushSeries(series []Series, timeNS int64, values []float64) (int, error) {
	if len(series) != len(values) {
		return 0, ErrInput
	}
	writer, err := w.enter()
	if err != nil {
		return 0, err
	}
	defer w.leave()
	var taken C.size_t
	status := C.tdg_writer_push_series(writer, (*C.tdg_series)(unsafe.SliceData(series)), C.int64_t(timeNS),
		(*C.double)(unsafe.SliceData(values)), C.size_t(len(values)), &taken)
	return int(taken), failure(status)
}

// SetFullWait says how long a push may wait for room before it gives ErrFull, in the place of the engine's
// writer.full_wait; 0 not at all, less than 0 for ever.
func (w *Writer) SetFullWait(wait time.Duration) error {
	writer, err := w.enter()
	if err != nil {
		return err
	}
	defer w.leave()
	return failure(C.tdg_writer_set_full_wait(writer, C.int64_t(max(wait, -1))))
}

// Flush hands over what was pushed, to be committed at once; it waits for nothing.
func (w *Writer) Flush() (Token, error) {
	writer, err := w.enter()
	if err != nil {
		return 0, err
	}
	defer w.leave()
	var token C.tdg_token
	err = failure(C.tdg_writer_flush(writer, &token))
	return Token(token), err
}

// Wait waits until the rows of a token are on stable storage, or the context has ended: the error is then ErrTimeout and
// the context's. With a context that has ended it asks, and does not wait. Any goroutines may wait, while the writer's
// own pushes on; each takes a thread meanwhile.
//
// Errors: ErrInDoubt if a commit failed; ErrClosed if the engine or the writer was closed first: as in doubt; ErrInput if
// the writer gave no such token.
func (w *Writer) Wait(ctx context.Context, token Token) error {
	return await(ctx, func(timeoutNS C.int64_t) error {
		ptr, err := w.handle.hold()
		if err != nil {
			return err
		}
		defer w.handle.drop()
		return failure(C.tdg_writer_wait((*C.tdg_writer)(ptr), C.tdg_token(token), timeoutNS))
	})
}

// Close frees the writer, and publishes nothing: rows that were not flushed are discarded, and counted. It waits for
// nothing: calls that are under way end by themselves, and the last of them frees it. On a closed writer it does nothing.
// The error is nil, for io.Closer.
func (w *Writer) Close() error {
	w.handle.close()
	return nil
}
