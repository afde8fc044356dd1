package tidegate

// #include <tidegate.h>
import "C"

import (
	"runtime"
	"unsafe"
)

// Column is a field of several rows, made by Floats, Ints and so on. Its values are borrowed until they are pushed.
type Column struct {
	name   string
	kind   C.int32_t
	len    int
	values unsafe.Pointer
	// Of text and bytes, in the place of values.
	texts []string
	bytes [][]byte
}

func column[T any](name string, kind C.int32_t, values []T) Column {
	return Column{name: name, kind: kind, len: len(values), values: unsafe.Pointer(unsafe.SliceData(values))}
}

// Floats is a column of floats, every bit of which is kept.
func Floats(name string, values []float64) Column { return column(name, C.TDG_F64, values) }

// Ints is a column of signed integers.
func Ints(name string, values []int64) Column { return column(name, C.TDG_I64, values) }

// Uints is a column of unsigned integers.
func Uints(name string, values []uint64) Column { return column(name, C.TDG_U64, values) }

// Bools is a column of truth values.
func Bools(name string, values []bool) Column { return column(name, C.TDG_BOOL, values) }

// Strings is a column of UTF-8 text.
func Strings(name string, values []string) Column {
	return Column{name: name, kind: C.TDG_STRING, len: len(values), texts: values}
}

// Bytes is a column of any bytes.
func Bytes(name string, values [][]byte) Column {
	return Column{name: name, kind: C.TDG_BYTES, len: len(values), bytes: values}
}

// lend gives the column as C has it. Text is copied to one piece of memory: pinning each of its values costs more.
func (c *Column) lend(pins *runtime.Pinner) C.tdg_column {
	lent := C.tdg_column{name: pinned(pins, c.name), kind: c.kind, values: c.values}
	if c.kind == C.TDG_STRING || c.kind == C.TDG_BYTES {
		size := 0
		for _, value := range c.texts {
			size += len(value)
		}
		for _, value := range c.bytes {
			size += len(value)
		}
		copied := make([]byte, 0, size)
		ends := make([]int, 0, c.len)
		for _, value := range c.texts {
			copied = append(copied, value...)
			ends = append(ends, len(copied))
		}
		for _, value := range c.bytes {
			copied = append(copied, value...)
			ends = append(ends, len(copied))
		}
		texts, from := make([]C.tdg_str, c.len), 0
		for i, end := range ends {
			texts[i] = text(unsafe.String(unsafe.SliceData(copied[from:]), end-from))
			from = end
		}
		if size > 0 {
			pins.Pin(unsafe.SliceData(copied))
		}
		lent.values = unsafe.Pointer(unsafe.SliceData(texts))
	}
	if c.len > 0 {
		pins.Pin(lent.values)
	}
	return lent
}

// PushColumns pushes rows of one series, events say, that come as columns: as many times as each column has values. It
// gives how many rows were taken, from the first on, and why it was not all.
//
// Errors: ErrInput also if columns are of different lengths, or two of one name; else as of Push.
func (w *Writer) PushColumns(series Series, timesNS []int64, columns ...Column) (int, error) {
	var pins runtime.Pinner
	defer pins.Unpin()
	lent := make([]C.tdg_column, len(columns))
	for i := range columns {
		if columns[i].len != len(timesNS) {
			return 0, ErrInput
		}
		lent[i] = columns[i].lend(&pins)
	}
	writer, err := w.enter()
	if err != nil {
		return 0, err
	}
	defer w.leave()
	var taken C.size_t
	status := C.tdg_writer_push_columns(writer, C.tdg_series(series), (*C.int64_t)(unsafe.SliceData(timesNS)),
		C.size_t(len(timesNS)), unsafe.SliceData(lent), C.size_t(len(lent)), &taken)
	return int(taken), failure(status)
}
