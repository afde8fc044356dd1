package tidegate_test

import (
	"syscall"
	"testing"

	"tidegate.dev/go/tidegate"
)

// What Go adds to C's own price of a sample: what collecting costs, what a call costs, and both with C's own work.
// PushSeries is that with columns that are there already.
func BenchmarkBatchOf1000(b *testing.B) {
	const size = 1000
	engine, _ := open(b)
	writer := must[*tidegate.Writer](b)(engine.Writer())
	ok(b, writer.SetFullWait(-1))
	series := make([]tidegate.Series, size)
	for i := range series {
		series[i] = must[tidegate.Series](b)(engine.Series("m", tidegate.Label{Name: "i", Value: string(rune(0x4e00 + i))}))
	}
	// Of the process's CPU time, which a busy machine does not change.
	cpuNS := func() int64 {
		var used syscall.Rusage
		ok(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
		return used.Utime.Nano() + used.Stime.Nano()
	}
	perSample := func(b *testing.B, from int64) {
		b.ReportMetric(float64(cpuNS()-from)/float64(b.N)/size, "cpu-ns/sample")
	}
	b.Run("Collect", func(b *testing.B) {
		var batch tidegate.Batch
		from := cpuNS()
		for n := 0; n < b.N; n++ {
			for i, s := range series {
				batch.Add(s, int64(n), float64(i))
			}
			batch.Reset()
		}
		perSample(b, from)
	})
	b.Run("EmptyCall", func(b *testing.B) {
		from := cpuNS()
		for n := 0; n < b.N; n++ {
			if _, err := writer.PushTimes(series[0], nil, nil); err != nil {
				b.Fatal(err)
			}
		}
		perSample(b, from)
	})
	b.Run("PushSeries", func(b *testing.B) {
		values := make([]float64, size)
		for i := range values {
			values[i] = float64(i)
		}
		from := cpuNS()
		for n := 0; n < b.N; n++ {
			taken, err := writer.PushSeries(series, int64(n), values)
			if err != nil || taken != size {
				b.Fatal(taken, err)
			}
		}
		perSample(b, from)
	})
	b.Run("CollectAndPush", func(b *testing.B) {
		var batch tidegate.Batch
		from := cpuNS()
		for n := 0; n < b.N; n++ {
			for i, s := range series {
				batch.Add(s, int64(n), float64(i))
			}
			ok(b, writer.Push(&batch))
		}
		perSample(b, from)
	})
}
