package tidegate_test

import (
	"testing"

	"tidegate.dev/go/tidegate"
)

// What Go adds to C's own price of a sample: the same work once as calls that push 1,000 samples, and once as batches.
func BenchmarkBatchOf1000(b *testing.B) {
	const size = 1000
	engine, _ := open(b)
	writer := must[*tidegate.Writer](b)(engine.Writer())
	ok(b, writer.SetFullWait(-1))
	series := make([]tidegate.Series, size)
	for i := range series {
		series[i] = must[tidegate.Series](b)(engine.Series("m", tidegate.Label{Name: "i", Value: string(rune(0x4e00 + i))}))
	}
	perSample := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/size, "ns/sample")
	}
	b.Run("Collect", func(b *testing.B) {
		var batch tidegate.Batch
		for n := 0; n < b.N; n++ {
			for i, s := range series {
				batch.Add(s, int64(n), float64(i))
			}
			batch.Reset()
		}
		perSample(b)
	})
	b.Run("EmptyCall", func(b *testing.B) {
		var batch tidegate.Batch
		for n := 0; n < b.N; n++ {
			ok(b, writer.Push(&batch))
		}
		perSample(b)
	})
	b.Run("CollectAndPush", func(b *testing.B) {
		var batch tidegate.Batch
		for n := 0; n < b.N; n++ {
			for i, s := range series {
				batch.Add(s, int64(n), float64(i))
			}
			ok(b, writer.Push(&batch))
		}
		perSample(b)
	})
}
