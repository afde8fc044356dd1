package tidegate

import (
	"syscall"
	"testing"
)

func TestABatchKeepsWhatWasSkippedOver(t *testing.T) {
	var batch Batch
	for i := int64(0); i < 3*pushMax; i++ {
		batch.Add(Series(i), i, float64(i))
	}
	batch.Skip(pushMax + 1)
	if batch.Len() != 2*pushMax-1 || batch.samples[0] != (sample{pushMax + 1, pushMax + 1, pushMax + 1}) {
		t.Fatal(batch.Len(), batch.samples[0])
	}
	batch.Skip(10 * pushMax)
	if batch.Len() != 0 {
		t.Fatal(batch.Len())
	}
}

// What Go adds to C's own price of a batch, but for the call: collecting it, and making C's columns of it.
func BenchmarkColumnsOf1000(b *testing.B) {
	const size = 1000
	var batch Batch
	lent := new(columns)
	// Of the process's CPU time, which a busy machine does not change.
	cpuNS := func() int64 {
		var used syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			b.Fatal(err)
		}
		return used.Utime.Nano() + used.Stime.Nano()
	}
	from := cpuNS()
	for n := 0; n < b.N; n++ {
		for i := 0; i < size; i++ {
			batch.Add(Series(i), int64(n), float64(i))
		}
		if lent.set(batch.samples) != size {
			b.Fatal("a batch of so many is one call")
		}
		batch.Reset()
	}
	b.ReportMetric(float64(cpuNS()-from)/float64(b.N)/size, "cpu-ns/sample")
}
