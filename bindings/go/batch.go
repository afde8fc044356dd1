package tidegate

// Batch collects samples of any series and times in Go's memory, for Writer.Push. Its zero value is empty. It keeps its
// memory when it is pushed: use it again.
type Batch struct {
	series []Series
	times  []int64
	values []float64
	// How many of the first are taken already.
	taken int
}

// Add adds a sample. The time is nanoseconds since the Unix epoch, or Now, which is then that of the push. Every bit of
// the value is kept.
func (b *Batch) Add(series Series, timeNS int64, value float64) {
	b.series = append(b.series, series)
	b.times = append(b.times, timeNS)
	b.values = append(b.values, value)
}

// Len is how many samples wait in it.
func (b *Batch) Len() int { return len(b.series) - b.taken }

// Reset empties it.
func (b *Batch) Reset() {
	b.series, b.times, b.values, b.taken = b.series[:0], b.times[:0], b.values[:0], 0
}

// Skip drops the first n samples: after a push that failed with ErrInput or ErrLimit, the first is the bad one.
func (b *Batch) Skip(n int) {
	b.taken += min(n, b.Len())
	if b.Len() == 0 {
		b.Reset()
	}
}
