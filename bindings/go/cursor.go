package tidegate

// #include <tidegate.h>
import "C"

import (
	"context"
	"errors"
	"time"
	"unsafe"
)

// Start is where a new cursor begins.
type Start int32

const (
	// Oldest is before all that the log holds.
	Oldest Start = C.TDG_CURSOR_OLDEST
	// Newest is behind all that is durable when the cursor is made.
	Newest Start = C.TDG_CURSOR_NOW
)

// CreateCursor makes a cursor, unless there is one of this name: that stays where it is. It is on disk when this returns,
// and holds retention from then on.
//
// Errors: ErrInput for a name that cannot be, ErrLimit if there are 64 cursors.
func (e *Engine) CreateCursor(name string, start Start) error {
	return e.call(func(engine *C.tdg_engine, why **C.tdg_error) C.tdg_status {
		return C.tdg_cursor_create(engine, text(name), C.int32_t(start), why)
	})
}

// DeleteCursor removes a cursor.
//
// Errors: ErrInput if there is none of this name, ErrLocked if a reader has it.
func (e *Engine) DeleteCursor(name string) error {
	return e.call(func(engine *C.tdg_engine, why **C.tdg_error) C.tdg_status {
		return C.tdg_cursor_delete(engine, text(name), why)
	})
}

// CursorStats is how a cursor stands: what it has not passed, and what retention took before it was passed.
type CursorStats struct {
	BlocksBehind, RowsBehind, BytesBehind uint64
	BlocksLost, RowsLost, BytesLost       uint64
}

// Cursor looks how a cursor stands. That takes some milliseconds.
func (e *Engine) Cursor(name string) (CursorStats, error) {
	var s C.tdg_cursor_stats
	err := e.call(func(engine *C.tdg_engine, why **C.tdg_error) C.tdg_status {
		return C.tdg_cursor_look(engine, text(name), &s, C.sizeof_tdg_cursor_stats, why)
	})
	return CursorStats{
		BlocksBehind: uint64(s.blocks_behind), RowsBehind: uint64(s.rows_behind), BytesBehind: uint64(s.bytes_behind),
		BlocksLost: uint64(s.blocks_lost), RowsLost: uint64(s.rows_lost), BytesLost: uint64(s.bytes_lost),
	}, err
}

// Block tells a block from every other one for ever: by its log, worker and sequence. It is given again if it was not
// committed.
type Block struct {
	// Log is the log's identity.
	Log      [16]byte
	Worker   uint32
	Sequence uint64
	// Arrival is when the block was sealed.
	Arrival time.Time
	Rows    uint32
	// Values is how many rows the record batch has.
	Values uint64

	block C.tdg_block
}

// Reader gives the log's blocks behind a cursor, as they become durable. A cursor has one reader at a time.
type Reader struct {
	serial
	// Kept from being collected, which would close it.
	engine *Engine
}

// Reader begins to read behind a cursor.
//
// Errors: ErrInput if there is no such cursor, ErrLocked if a reader has it.
func (e *Engine) Reader(cursor string) (*Reader, error) {
	var reader *C.tdg_reader
	err := e.call(func(engine *C.tdg_engine, why **C.tdg_error) C.tdg_status {
		return C.tdg_reader_open(engine, text(cursor), &reader, why)
	})
	if err != nil {
		return nil, err
	}
	free := func(ptr unsafe.Pointer) { C.tdg_reader_free((*C.tdg_reader)(ptr)) }
	return &Reader{serial: serial{handle: own(unsafe.Pointer(reader), free)}, engine: e}, nil
}

// Next gives the next durable block and its values, waiting for one until the context has ended: the error is then
// ErrTimeout and the context's. With a context that has ended it asks, and does not wait. The stream is the caller's to
// close.
//
// Errors: ErrClosed if the reader is closed, or the engine is and all that was durable then was given; ErrLimit if the block, which is passed over, has more text
// than Arrow's columns can count; ErrIO.
func (r *Reader) Next(ctx context.Context) (Block, *Stream, error) {
	stream := newStream()
	var block C.tdg_block
	err := await(ctx, func(timeoutNS C.int64_t) error {
		ptr, err := r.enter()
		if err != nil {
			return err
		}
		defer r.leave()
		var why *C.tdg_error
		status := C.tdg_reader_next((*C.tdg_reader)(ptr), timeoutNS, &block, stream.c(), &why)
		if err := explained(status, why); !errors.Is(err, ErrTimeout) {
			return err
		}
		return errNotYet
	})
	if err != nil {
		stream.Close()
		return Block{}, nil, err
	}
	given := Block{
		Worker: uint32(block.worker), Sequence: uint64(block.sequence), Arrival: time.Unix(0, int64(block.arrival_ns)),
		Rows: uint32(block.rows), Values: uint64(block.values), block: block,
	}
	for i, b := range block.log {
		given.Log[i] = byte(b)
	}
	return given, stream, nil
}

// Commit moves the cursor behind a block that this reader gave, and so behind all earlier ones of its worker. That is on
// disk when this returns: commit what is safe elsewhere, and nothing else.
//
// Errors: ErrInput if the block was not given; ErrIO: the cursor is where it was, or where it was to be.
func (r *Reader) Commit(block Block) error { return r.commit(&block.block) }

// CommitAll moves the cursor behind all that this reader gave.
func (r *Reader) CommitAll() error { return r.commit(nil) }

func (r *Reader) commit(block *C.tdg_block) error {
	ptr, err := r.enter()
	if err != nil {
		return err
	}
	defer r.leave()
	var why *C.tdg_error
	status := C.tdg_reader_commit((*C.tdg_reader)(ptr), block, &why)
	return explained(status, why)
}

// Close frees the reader; its cursor stays where it was committed. On a closed reader it does nothing. The error is nil,
// for io.Closer.
func (r *Reader) Close() error {
	r.handle.close()
	return nil
}

// ReadDirectory gives all rows that a data directory holds now, without an engine, a cursor or a lock. The stream is the
// caller's to close; it fails once, at its end, if something was damaged and left out.
//
// Errors: ErrIncompatible if it is no data directory; ErrIO, also if there is none.
func ReadDirectory(directory string) (*Stream, error) {
	stream := newStream()
	var why *C.tdg_error
	status := C.tdg_directory_read(text(directory), stream.c(), &why)
	if err := explained(status, why); err != nil {
		stream.Close()
		return nil, err
	}
	return stream, nil
}
