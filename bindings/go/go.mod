module tidegate.dev/go/tidegate

go 1.21
