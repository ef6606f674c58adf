package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// pipe returns a file from which can be read what write writes.
func pipe(tb testing.TB, write func(io.WriteCloser)) *os.File {
	tb.Helper()
	r, w, err := os.Pipe()
	testns.Must(tb, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer w.Close()
		write(w)
	}()
	tb.Cleanup(func() {
		r.Close()
		<-done
	})
	return r
}

func TestReadAll(t *testing.T) {
	for _, row := range []struct {
		name string
		size int
		ok   bool
	}{
		{"nothing", 0, true},
		{"a usual configuration", stdinUsual / 2, true},
		{"as long as the buffer", stdinUsual, true},
		{"longer than the buffer", 10*stdinUsual + 1, true},
		{"the limit", stdinLimit, true},
		{"one byte more", stdinLimit + 1, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			want := bytes.Repeat([]byte("x"), row.size)
			got, err := readAll(pipe(t, func(w io.WriteCloser) {
				w.Write(want) // in one row the reader gives up first
			}))
			if row.ok && (err != nil || !bytes.Equal(got, want)) {
				t.Errorf("readAll of %d bytes = %d bytes, %v; want all", row.size, len(got), err)
			}
			if !row.ok && !errors.Is(err, errInput) {
				t.Errorf("readAll of %d bytes = %d bytes, %v; want %v", row.size, len(got), err, errInput)
			}
		})
	}
}

func TestReadAllInPieces(t *testing.T) {
	got, err := readAll(pipe(t, func(w io.WriteCloser) {
		for _, piece := range []string{`{"na`, `me":`, `"net"}`} {
			io.WriteString(w, piece)
			time.Sleep(10 * time.Millisecond)
		}
	}))
	if want := `{"name":"net"}`; err != nil || string(got) != want {
		t.Errorf("readAll of three pieces = %q, %v; want %q", got, err, want)
	}
}

func TestWaitReadableGivesUp(t *testing.T) {
	done := make(chan struct{})
	r := pipe(t, func(io.WriteCloser) { <-done })
	defer close(done)
	for _, left := range []time.Duration{20 * time.Millisecond, 0, -time.Second} { // a process that was stopped comes late
		start := time.Now()
		ready, err := waitReadable(r, start.Add(left))
		if took := time.Since(start); ready || err != nil || took > 5*time.Second {
			t.Errorf("waitReadable of an empty pipe = %v, %v after %v; want false after %v", ready, err, took, left)
		}
	}
}

func TestNetNSOverride(t *testing.T) {
	for _, row := range []struct {
		value   string
		refused bool
	}{
		{"", true}, {"0", true}, {"false", true}, {"yes", true}, {"1", false}, {"true", false}, {"TRUE", false}, {"True", false},
	} {
		t.Run("value "+row.value, func(t *testing.T) {
			env := []string{
				"CNI_COMMAND=ADD", "CNI_PATH=/bin", "CNI_CONTAINERID=c", "CNI_IFNAME=eth0",
				"CNI_NETNS=/proc/thread-self/ns/net", "CNI_NETNS_OVERRIDE=" + row.value,
			}
			stdin := `{"cniVersion": "1.1.0", "name": "net"}` // without prevResult nothing is touched
			got := callPlugin(t, stdin, env...)
			if (got.code == types.ErrInvalidNetNS) != row.refused {
				t.Errorf("CNI_NETNS_OVERRIDE=%q: got code %d, want %d: %v", row.value, got.code, types.ErrInvalidNetNS, row.refused)
			}
		})
	}
}

func TestPodOf(t *testing.T) {
	for _, row := range []struct{ args, want string }{
		{"", ""},
		{"IgnoreUnknown=1;K8S_POD_NAMESPACE=my-ns;K8S_POD_NAME=web-0.a;K8S_POD_INFRA_CONTAINER_ID=c", "my-ns/web-0.a"},
		{"K8S_POD_NAME=web;K8S_POD_NAMESPACE=ns", "ns/web"},
		{"K8S_POD_NAME=web", ""},
		{"K8S_POD_NAMESPACE=ns;K8S_POD_NAME=", ""},
		{"K8S_POD_NAMESPACE=ns;K8S_POD_NAME=a/b", ""},
		{"K8S_POD_NAMESPACE=ns;K8S_POD_NAME=../../x", ""},
		{"K8S_POD_NAMESPACE=ns;K8S_POD_NAME=a\nb", ""},
		{";;=;K8S_POD_NAMESPACE;K8S_POD_NAME", ""},
	} {
		if got := podOf(row.args); got != row.want {
			t.Errorf("podOf(%q) = %q; want %q", row.args, got, row.want)
		}
	}
}
