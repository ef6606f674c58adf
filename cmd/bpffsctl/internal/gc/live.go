package gc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containernetworking/cni/pkg/utils"

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

// ReadList adds the containers in r: one ID a line, without anything else.
func (l *Live) ReadList(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		id := strings.TrimSpace(lines.Text())
		if id == "" {
			continue
		}
		if utils.ValidateContainerID(id) != nil {
			return fmt.Errorf("line %d of the list of live containers is %q: each line must be one container ID", n, id)
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
func (l *Live) Ask(ctx context.Context, named []string) error {
	sockets, err := cri.Sockets(named...)
	if errors.Is(err, cri.ErrNoRuntime) {
		return fmt.Errorf("%w, or give it the live containers, as in podman ps -aq --no-trunc | bpffsctl gc --live-from -", err)
	}
	if err != nil {
		return err
	}
	var silent []error // of those that run no pods
	for _, socket := range sockets {
		err := l.askOne(ctx, socket)
		if len(named) == 0 && errors.Is(err, cri.ErrNoCRI) {
			silent = append(silent, err)
		} else if err != nil {
			return err
		}
	}
	if len(silent) == len(sockets) {
		return silent[0]
	}
	return nil
}

func (l *Live) askOne(ctx context.Context, socket string) error {
	c, err := cri.New(socket)
	if err != nil {
		return err
	}
	defer c.Close()
	pods, err := c.Sandboxes(ctx)
	for _, pod := range pods {
		l.Add(pod.ID)
	}
	return err
}
