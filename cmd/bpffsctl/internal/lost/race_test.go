package lost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testadd"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// lostOnes is how many lost endpoints there are for each process that adds.
const lostOnes = 50

// A container of which no DEL came may start again just when its endpoint is to be
// released. Whoever comes first: what ADD returned to it stays.
func TestCollectBesideADD(t *testing.T) {
	const adders = 4
	r := newRig(t)
	r.pod(t, "runs")
	for i := range adders * lostOnes {
		_, err := testadd.Add(t.Context(), r.node+r.root, attachment(fmt.Sprint(i)), bpffs.Details{NetNS: "/run/netns/gone"}, policy())
		testns.Must(t, err)
	}
	r.look(t, 0)
	var collecting sync.WaitGroup
	collecting.Go(func() { r.look(t, after) })
	for i, m := range testns.Crowd(t, adders, "add", func(i int) []string {
		return []string{"ROOT=" + r.node + r.root, fmt.Sprintf("NUMBER=%d", i)}
	}) {
		if m.Err != nil {
			t.Errorf("process %d: %v: %s%s", i, m.Err, m.Stdout, m.Stderr)
		}
	}
	collecting.Wait()
	t.Logf("released: %d", r.collector.Released())
	if got := r.containers(t); len(got) != adders*lostOnes {
		t.Errorf("whole endpoints: got %d, want %d: %q", len(got), adders*lostOnes, r.log)
	}
}

// addAgain adds what is lost, each process its own.
func addAgain(io.Writer) error {
	testns.Await()
	number, err := strconv.Atoi(os.Getenv("NUMBER"))
	for i := range lostOnes {
		_, aerr := testadd.Add(context.Background(), os.Getenv("ROOT"), attachment(fmt.Sprint(number*lostOnes+i)),
			bpffs.Details{NetNS: "/run/netns/runs"}, policy())
		err = errors.Join(err, aerr)
	}
	return err
}
