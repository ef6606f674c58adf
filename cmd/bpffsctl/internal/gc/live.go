package gc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
)

// Live are the containers that are not gone, by their IDs.
type Live struct {
	ids     map[string]bool
	lengths map[int]bool // of the IDs
}

// Add adds a container. An ID that was cut off stands for all that begin so.
func (l *Live) Add(id string) {
	if l.ids == nil {
		l.ids, l.lengths = make(map[string]bool), make(map[int]bool)
	}
	l.ids[id], l.lengths[len(id)] = true, true
}

// Len returns how many there are.
func (l *Live) Len() int { return len(l.ids) }

// Has reports whether the container is one of them.
func (l *Live) Has(container string) bool {
	for n := range l.lengths {
		if n <= len(container) && l.ids[container[:n]] {
			return true
		}
	}
	return false
}

// containerID is the form of container IDs (CNI specification 1.1.0, section 2).
var containerID = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// ReadList adds the containers in r: one ID a line, without anything else.
func (l *Live) ReadList(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		id := strings.TrimSpace(lines.Text())
		if id == "" {
			continue
		}
		if !containerID.MatchString(id) {
			return fmt.Errorf("line %d of the list of live containers is %q: wanted one container ID and nothing else", n, id)
		}
		l.Add(id)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading the list of live containers: %w", err)
	}
	return nil
}

// Ask adds the pods of the runtimes that listen at the sockets, whatever state a
// pod is in. Without sockets it asks every runtime that is at one of the usual
// places, and fails if one does not answer: its containers may all be alive.
func (l *Live) Ask(ctx context.Context, sockets []string) error {
	named := len(sockets) > 0
	if !named {
		var err error
		if sockets, err = cri.Present(cri.DefaultSockets()); err != nil {
			return err
		}
	}
	if len(sockets) == 0 {
		return fmt.Errorf("%w: there is no %s: name its socket with --cri-socket, or a list of live containers with --live-from",
			cri.ErrNoRuntime, strings.Join(cri.DefaultSockets(), ", no "))
	}
	var silent error
	asked := 0
	for _, socket := range sockets {
		err := l.askOne(ctx, socket)
		if !named && errors.Is(err, cri.ErrNoCRI) {
			silent = err // it runs no pods
			continue
		}
		if err != nil {
			return err
		}
		asked++
	}
	if asked == 0 {
		return silent
	}
	return nil
}

func (l *Live) askOne(ctx context.Context, socket string) error {
	c, err := cri.New(socket)
	if err != nil {
		return err
	}
	defer c.Close()
	sandboxes, err := c.Sandboxes(ctx)
	for _, s := range sandboxes {
		l.Add(s.ID)
	}
	return err
}
