package tidegate

// Batch collects samples of any series and times in Go's memory, for Writer.Push. Its zero value is empty. It keeps its
// memory when it is pushed: use it again.
type Batch struct {
	// Columns of one length; those from taken to end are waiting.
	series     []Series
	times      []int64
	values     []float64
	taken, end int
}

// batchMin is how many samples the first memory of a batch is for.
const batchMin = 1024

// Add adds a sample. The time is nanoseconds since the Unix epoch, or Now, which is then that of the push. Every bit of
// the value is kept.
func (b *Batch) Add(series Series, timeNS int64, value float64) {
	if b.end == len(b.series) {
		b.grow()
	}
	b.series[b.end], b.times[b.end], b.values[b.end] = series, timeNS, value
	b.end++
}

// Apart, so that Add stays small.
//
//go:noinline
func (b *Batch) grow() {
	// All three are of one length, that of the memory that they have.
	more := max(batchMin, len(b.series))
	b.series = append(b.series, make([]Series, more)...)
	b.times = append(b.times, make([]int64, more)...)
	b.values = append(b.values, make([]float64, more)...)
}

// Len is how many samples wait in it.
func (b *Batch) Len() int { return b.end - b.taken }

// Reset empties it.
func (b *Batch) Reset() { b.taken, b.end = 0, 0 }

// Skip drops the first n samples: after a push that failed with ErrInput or ErrLimit, the first is the bad one.
func (b *Batch) Skip(n int) {
	b.taken += min(n, b.Len())
	if b.Len() == 0 {
		b.Reset()
	}
}
