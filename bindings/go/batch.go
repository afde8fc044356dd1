package tidegate

// #include <tidegate.h>
import "C"

// Batch collects samples of any series and times in Go's memory, for Writer.Push. Its zero value is empty. It keeps its
// memory when it is pushed: use it again.
type Batch struct{ samples []sample }

// Sample by sample, as they come: one append is what Go inlines into its caller. C's columns are made when they are
// pushed, which costs less than three appends.
type sample struct {
	series Series
	timeNS int64
	value  float64
}

// Add adds a sample. The time is nanoseconds since the Unix epoch, or Now, which is then that of the push. Every bit of
// the value is kept.
func (b *Batch) Add(series Series, timeNS int64, value float64) {
	b.samples = append(b.samples, sample{series, timeNS, value})
}

// Len is how many samples wait in it.
func (b *Batch) Len() int { return len(b.samples) }

// Reset empties it.
func (b *Batch) Reset() { b.samples = b.samples[:0] }

// Skip drops the first n samples: after a push that failed with ErrInput or ErrLimit, the first is the bad one.
func (b *Batch) Skip(n int) {
	b.samples = append(b.samples[:0], b.samples[min(n, len(b.samples)):]...)
}

// pushMax is how many samples a call of C's is for: their columns stay in the fastest cache, and the call costs little
// beside them.
const pushMax = 1024

// columns are samples as C takes them.
type columns struct {
	series [pushMax]C.tdg_series
	times  [pushMax]C.int64_t
	values [pushMax]C.double
}

// set takes the first samples and gives how many.
func (c *columns) set(samples []sample) int {
	samples = samples[:min(pushMax, len(samples))]
	for i := range samples {
		sample := &samples[i]
		c.series[i%pushMax] = C.tdg_series(sample.series)
		c.times[i%pushMax] = C.int64_t(sample.timeNS)
		c.values[i%pushMax] = C.double(sample.value)
	}
	return len(samples)
}
