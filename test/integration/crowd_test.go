package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// together calls the plugin once for each container, which all start before the
// first gets its configuration.
func (p plugin) together(t *testing.T, verb string, containers int) []plugintest.Answer {
	t.Helper()
	answers := make([]plugintest.Answer, containers)
	ready, start, done := make(chan error), make(chan struct{}), make(chan int)
	for i := range answers {
		cmd := p.Command(verb, "", fmt.Sprintf("CNI_CONTAINERID=c%d", i))
		var stdout, stderr strings.Builder
		cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, &stdout, &stderr
		go func() {
			stdin, err := cmd.StdinPipe()
			if err == nil {
				err = cmd.Start()
			}
			ready <- err
			if err == nil {
				<-start
				fmt.Fprint(stdin, conf(nil))
				stdin.Close()
				cmd.Wait()
				answers[i] = plugintest.Answer{Stdout: stdout.String(), Stderr: stderr.String(), Status: cmd.ProcessState.ExitCode()}
			}
			done <- i
		}()
	}
	for range answers {
		testns.Must(t, <-ready)
	}
	close(start)
	for range answers {
		<-done
	}
	return answers
}

// TestCrowd: many processes on a node without a bpffs, several times.
func TestCrowd(t *testing.T) {
	const containers = 64
	for round := range 3 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			p := newNode(t)
			owner := make(map[string]int)
			for i, a := range p.together(t, "ADD", containers) {
				if a.Status != 0 {
					t.Fatalf("ADD of container %d: got %+v, want success", i, a)
				}
				id := plugintest.IDOf(paths(t, a.Stdout)[0])
				if other, taken := owner[id]; taken {
					t.Errorf("containers %d and %d: got the same endpoint ID %s, want different ones", other, i, id)
				}
				owner[id] = i
			}
			if got := bpfMounts(t); len(got) != 1 {
				t.Errorf("bpffs after %d ADD at once: got %q, want one", containers, got)
			}
			for i, a := range p.together(t, "DEL", containers) {
				if a.Status != 0 {
					t.Errorf("DEL of container %d: got %+v, want success", i, a)
				}
			}
			node.NothingLeft(t, defaultRoot)
		})
	}
}

// TestCrowdOfOne: the same attachment from many processes at once.
func TestCrowdOfOne(t *testing.T) {
	p := newNode(t)
	same := p
	same.Env = []string{"CNI_CONTAINERID=same"}
	answers := same.together(t, "ADD", 16)
	for i, a := range answers {
		if a != answers[0] || a.Status != 0 {
			t.Errorf("ADD %d: got %+v, want the same as the others: %+v", i, a, answers[0])
		}
	}
	p.Succeed(t, "DEL", conf(nil), "CNI_CONTAINERID=same")
	node.NothingLeft(t, defaultRoot)
}
