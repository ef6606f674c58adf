package bpffs

import (
	"fmt"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// benchEndpoints opens the records of a new bpffs with that many endpoints.
func benchEndpoints(b *testing.B, many int) *Endpoints {
	b.Helper()
	e, err := CreateEndpoints(b.Context(), testns.BPFFS(b))
	testns.Must(b, err)
	b.Cleanup(func() {
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	})
	allocateMany(b, e, many)
	return e
}

func benchNames() []string {
	return []string{"calls_", "policy_", "ct4_", "ct6_", "lxc_", "nat_", "events_", "metrics_"}
}

func benchAttachment(number int) Attachment {
	return Attachment{"bench", fmt.Sprintf("%064x", number), "eth0"}
}

func allocateMany(b *testing.B, e *Endpoints, many int) {
	b.Helper()
	for i := range many {
		if _, _, err := e.Allocate(benchAttachment(i), "", benchNames()...); err != nil {
			b.Fatal(err)
		}
	}
}

func releaseMany(b *testing.B, e *Endpoints, many int) {
	b.Helper()
	for i := range many {
		testns.Must(b, e.Release(benchAttachment(i)))
	}
}

// BenchmarkCreateEndpoints opens records that are there, as every ADD does.
func BenchmarkCreateEndpoints(b *testing.B) {
	root := testns.BPFFS(b)
	for b.Loop() {
		e, err := CreateEndpoints(b.Context(), root)
		testns.Must(b, err)
		testns.Must(b, e.Close())
	}
}

// BenchmarkAllocate gives new attachments an ID and eight pins, with up to
// 10,000 endpoints there already.
func BenchmarkAllocate(b *testing.B) {
	const limit = 10_000
	e := benchEndpoints(b, 0)
	next := 0
	for b.Loop() {
		if next == limit {
			b.StopTimer()
			releaseMany(b, e, limit)
			next = 0
			b.StartTimer()
		}
		if _, _, err := e.Allocate(benchAttachment(next), "", benchNames()...); err != nil {
			b.Fatal(err)
		}
		next++
	}
}

// BenchmarkLookUp finds IDs and owners among few and many endpoints.
func BenchmarkLookUp(b *testing.B) {
	for _, many := range []int{1, 1000, 20_000} {
		b.Run(fmt.Sprint(many), func(b *testing.B) {
			e := benchEndpoints(b, many)
			next := 0
			for b.Loop() {
				a := benchAttachment(next % many)
				next++
				id, err := e.ID(a)
				testns.Must(b, err)
				if owner, err := e.Owner(id); err != nil || owner != a {
					b.Fatalf("Owner(%d) = %v, %v; want %v", id, owner, err, a)
				}
			}
		})
	}
}

// BenchmarkRelease removes endpoints with eight pins recorded.
func BenchmarkRelease(b *testing.B) {
	const many = 1000
	e := benchEndpoints(b, many)
	next := 0
	for b.Loop() {
		if next == many {
			b.StopTimer()
			allocateMany(b, e, many)
			next = 0
			b.StartTimer()
		}
		testns.Must(b, e.Release(benchAttachment(next)))
		next++
	}
}

// BenchmarkAll lists 1,000 endpoints.
func BenchmarkAll(b *testing.B) {
	const many = 1000
	e := benchEndpoints(b, many)
	for b.Loop() {
		found := 0
		for _, err := range e.All() {
			testns.Must(b, err)
			found++
		}
		if found != many {
			b.Fatalf("All gives %d endpoints, want %d", found, many)
		}
	}
}

// BenchmarkReleaseAll does the work of a GC that finds 10,000 attachments of
// which none is valid.
func BenchmarkReleaseAll(b *testing.B) {
	const many = 10_000
	e := benchEndpoints(b, 0)
	for b.Loop() {
		b.StopTimer()
		allocateMany(b, e, many)
		b.StartTimer()
		attachments, err := e.Attachments("bench")
		if err != nil || len(attachments) != many {
			b.Fatalf("Attachments gives %d, %v; want %d", len(attachments), err, many)
		}
		for _, a := range attachments {
			testns.Must(b, e.Release(a))
		}
	}
}

// benchResult is the result of bridge.
const benchResult = `{"cniVersion":"1.1.0",` +
	`"interfaces":[{"name":"cni0","mac":"9a:11:22:33:44:55"},{"name":"veth0a1b2c3d","mac":"9a:11:22:33:44:56"},` +
	`{"name":"eth0","mac":"9a:11:22:33:44:57","sandbox":"/var/run/netns/cni-5e0c1d8e-1111-2222-3333-444455556666"}],` +
	`"ips":[{"interface":2,"address":"10.244.77.2/24","gateway":"10.244.77.1"}],` +
	`"routes":[{"dst":"0.0.0.0/0"}],"dns":{}}`

func benchPaths() []string {
	var dir MapDir
	var paths []string
	for _, name := range benchNames() {
		paths = append(paths, dir.LocalMapPath(name, 42))
	}
	return paths
}

// BenchmarkAppendPaths adds eight paths to a result.
func BenchmarkAppendPaths(b *testing.B) {
	b.ReportAllocs()
	prev, paths := result(b, benchResult), benchPaths()
	for b.Loop() {
		if got := AppendPaths(prev, paths); len(got.Interfaces) != 3+len(paths) {
			b.Fatalf("AppendPaths gives %d interfaces", len(got.Interfaces))
		}
	}
}

// BenchmarkLocalMaps reads eight paths from a result.
func BenchmarkLocalMaps(b *testing.B) {
	b.ReportAllocs()
	result := AppendPaths(result(b, benchResult), benchPaths())
	for b.Loop() {
		if maps := LocalMaps(result); len(maps) != 8 {
			b.Fatalf("LocalMaps: got %v, want 8 maps", maps)
		}
	}
}

// BenchmarkQuery looks a container up among few endpoints and many, and a pod, for
// which all records are read.
func BenchmarkQuery(b *testing.B) {
	for _, many := range []int{1, 1000} {
		e := benchEndpoints(b, many)
		root := e.Root()
		e.giveBack()
		for name, q := range map[string]Query{"container": {ContainerID: benchAttachment(0).ContainerID}, "pod": {Pod: "ns/none"}} {
			b.Run(fmt.Sprintf("%s/%d", name, many), func(b *testing.B) {
				for b.Loop() {
					_, err := LookUp(b.Context(), root, q)
					testns.Must(b, err)
				}
			})
		}
	}
}
