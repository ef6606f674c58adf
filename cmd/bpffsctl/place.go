package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cnidirs"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/places"
)

// askTime is how long a command that looks at records waits for a runtime before it
// reads them, and once more afterwards if it asks about pods.
const askTime = time.Second

// A placeFlags says where a command looks at what is recorded.
type placeFlags struct {
	places.Where

	socket string // of the runtime; empty: the usual places
}

func (f *placeFlags) add(cmd *cobra.Command) {
	addRootFlag(cmd, &f.Root)
	cmd.Flags().StringVar(&f.ConfDir, "conf-dir", "", "the runtime's directory of networks, which may name other roots (default: what the runtime says, else "+cnidirs.DefaultConf+")")
	_ = cmd.MarkFlagDirname("conf-dir")
}

func addRootFlag(cmd *cobra.Command, root *string) {
	cmd.Flags().StringVar(root, "root", "", "look only at the bpffs that is mounted there (default: every bpffs of this node with endpoints)")
	_ = cmd.MarkFlagDirname("root")
}

// find returns where to look, and what the runtime says, which is asked where networks
// are unless that is given.
func (f *placeFlags) find(ctx context.Context) (places.Where, cnidirs.Runtime) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	r := cnidirs.Ask(ctx, f.socket, askTime)
	where := f.Where
	where.ConfDir = cnidirs.Of(cnidirs.Request{ConfDir: f.ConfDir}, r).Conf
	return where, r
}
