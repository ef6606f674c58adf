package main

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/netconf"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func TestCodes(t *testing.T) {
	for _, row := range []struct {
		err     error
		command string
		want    uint
	}{
		{errors.New("anything"), "ADD", 999},
		{fmt.Errorf("%w: x", netconf.ErrInvalid), "ADD", 7},
		{fmt.Errorf("%w: x", netconf.ErrInvalid), "STATUS", 7},
		{fmt.Errorf("%w: x", netconf.ErrAnnotation), "ADD", 110},
		{fmt.Errorf("%w: %w", errRoot, bpffs.ErrLocked), "ADD", 11},
		{fmt.Errorf("%w: %w", errRoot, bpffs.ErrLocked), "STATUS", 50},
		{fmt.Errorf("%w: %w", errRoot, bpffs.ErrStacked), "ADD", 100},
		{bpffs.ErrFull, "STATUS", 50},
		{fmt.Errorf("%w: %w", errRoot, bpffs.ErrUnsafe), "STATUS", 101},
		{bpffs.ErrOccupied, "ADD", 104},
		{fmt.Errorf("%w: %w", errCheck, bpffs.ErrMapShape), "CHECK", 105},
		{bpffs.ErrMapShape, "ADD", 107},
		{differs(bpffs.ErrMapShape), "CHECK", 105},
		{differs(fs.ErrNotExist), "CHECK", 105},
		{differs(syscall.EIO), "CHECK", 999},
		{differs(syscall.EROFS), "CHECK", 100},
		{differs(fmt.Errorf("%w: %w", bpffs.ErrMapRefused, syscall.EIO)), "CHECK", 106},
		{differs(bpffs.ErrMounted), "CHECK", 100},
	} {
		if got := codeOf(row.err, row.command); got != row.want {
			t.Errorf("code of %q from %s: got %d, want %d", row.err, row.command, got, row.want)
		}
	}
}
