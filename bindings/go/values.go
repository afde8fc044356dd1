package tidegate

// #include <tidegate.h>
import "C"

import (
	"fmt"
	"unsafe"
)

// Value is a value of a row. A row of three fields is three of them, with the same block and Row.
type Value struct {
	// TimeNS is the row's time in nanoseconds since the Unix epoch.
	TimeNS int64
	// StartNS is when the row's counters began to count, if HasStart.
	StartNS  int64
	HasStart bool
	// Name is the series' name, empty without one; Labels are its other labels, sorted.
	Name   string
	Labels []Label
	// Field is the field's name, "value" for a sample.
	Field string
	// Value is a float64, int64, uint64, bool, string or []byte, or nil. A string that is not UTF-8 is a []byte, as it
	// is in Arrow. Nested values and histograms are JSON, as a string: Type says which it is.
	Value any
	// Type is the field's: f64, i64, u64, bool, string, bytes, null, nested or histogram.
	Type string
	// Tenant is 0 without tenants.
	Tenant uint32
	// ArrivalNS is when the row's block was sealed.
	ArrivalNS int64
	// Worker, Sequence and Row are the row's place in its log.
	Worker   uint32
	Sequence uint64
	Row      uint32
}

// The columns by their places, as docs/arrow.md lists them.
const (
	columnTime = iota
	columnStart
	columnName
	columnLabels
	columnField
	columnType
	columnF64
	columnI64
	columnU64
	columnBool
	columnString
	columnBytes
	columnJSON
	columnTenant
	columnArrival
	columnWorker
	columnSequence
	columnRow
	columnCount
)

// array is a column: one of Arrow's arrays.
type array struct{ c *C.struct_ArrowArray }

// buffer gives one of an array's buffers as so many elements. It is the array's memory.
func buffer[T any](a array, place int, len int64) []T {
	if len == 0 {
		return nil
	}
	buffers := unsafe.Slice(a.c.buffers, int(a.c.n_buffers))
	return unsafe.Slice((*T)(buffers[place]), int(len))
}

func (a array) bit(place int, row int64) bool {
	at := row + int64(a.c.offset)
	return buffer[byte](a, place, at/8+1)[at/8]>>(at%8)&1 == 1
}

func (a array) isNull(row int64) bool {
	return unsafe.Slice(a.c.buffers, 1)[0] != nil && !a.bit(0, row)
}

func number[T any](a array, row int64) T {
	at := row + int64(a.c.offset)
	return buffer[T](a, 1, at+1)[at]
}

// span gives where a text's or a list's element begins and ends.
func (a array) span(row int64) (int32, int32) {
	at := row + int64(a.c.offset)
	ends := buffer[int32](a, 1, at+2)
	return ends[at], ends[at+1]
}

func (a array) text(row int64) string {
	from, to := a.span(row)
	return string(buffer[byte](a, 2, int64(to))[from:])
}

func (a array) child(place int) array {
	return array{unsafe.Slice(a.c.children, int(a.c.n_children))[place]}
}

// pairs gives an element of a map of texts.
func (a array) pairs(row int64) []Label {
	from, to := a.span(row)
	entries := a.child(0)
	labels := make([]Label, 0, to-from)
	for at := int64(from); at < int64(to); at++ {
		at := at + int64(entries.c.offset)
		labels = append(labels, Label{Name: entries.child(0).text(at), Value: entries.child(1).text(at)})
	}
	return labels
}

// entries are a dictionary's elements in Go's memory, each made once.
type entries[T any] struct {
	values []T
	column array
}

func dictionary[T any](column array, read func(array, int64) T) entries[T] {
	of := array{column.c.dictionary}
	values := make([]T, int(of.c.length))
	for i := range values {
		values[i] = read(of, int64(i))
	}
	return entries[T]{values, column}
}

func (e entries[T]) at(row int64, index func(array, int64) int) (value T) {
	if !e.column.isNull(row) {
		value = e.values[index(e.column, row)]
	}
	return value
}

func narrow(a array, row int64) int { return int(number[int8](a, row)) }
func wide(a array, row int64) int   { return int(number[int32](a, row)) }

// each gives a record batch's values.
func each(batch *C.struct_ArrowArray, take func(Value) error) error {
	all := array{batch}
	if all.c.n_children < columnCount {
		return fmt.Errorf("%w: a batch of %d columns", ErrIncompatible, int64(all.c.n_children))
	}
	names := dictionary(all.child(columnName), array.text)
	labels := dictionary(all.child(columnLabels), array.pairs)
	fields := dictionary(all.child(columnField), array.text)
	kinds := dictionary(all.child(columnType), array.text)
	for row := int64(0); row < int64(all.c.length); row++ {
		value := Value{
			TimeNS:    number[int64](all.child(columnTime), row),
			HasStart:  !all.child(columnStart).isNull(row),
			Name:      names.at(row, wide),
			Labels:    labels.at(row, wide),
			Field:     fields.at(row, wide),
			Type:      kinds.at(row, narrow),
			Tenant:    number[uint32](all.child(columnTenant), row),
			ArrivalNS: number[int64](all.child(columnArrival), row),
			Worker:    number[uint32](all.child(columnWorker), row),
			Sequence:  number[uint64](all.child(columnSequence), row),
			Row:       number[uint32](all.child(columnRow), row),
		}
		if value.HasStart {
			value.StartNS = number[int64](all.child(columnStart), row)
		}
		value.Value = all.value(value.Type, row)
		if err := take(value); err != nil {
			return err
		}
	}
	return nil
}

// value reads the column that a type's values are in.
func (a array) value(kind string, row int64) any {
	switch kind {
	case "f64":
		return number[float64](a.child(columnF64), row)
	case "i64":
		return number[int64](a.child(columnI64), row)
	case "u64":
		return number[uint64](a.child(columnU64), row)
	case "bool":
		return a.child(columnBool).bit(1, row)
	case "string":
		if texts := a.child(columnString); !texts.isNull(row) {
			return texts.text(row)
		}
		// One that is not UTF-8 is among the bytes.
		return []byte(a.child(columnBytes).text(row))
	case "bytes":
		return []byte(a.child(columnBytes).text(row))
	case "nested", "histogram":
		return a.child(columnJSON).text(row)
	default:
		return nil
	}
}
