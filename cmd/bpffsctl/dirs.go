package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cnidirs"
)

// askFor is how long a runtime may take for each answer.
const askFor = 2 * time.Second

// addDirFlags adds the flags that say where the node's runtime is and looks.
func addDirFlags(cmd *cobra.Command, q *cnidirs.Request) {
	flags := cmd.Flags()
	flags.StringVar(&q.BinDir, "bin-dir", "", "the runtime's directory of plugins (default: what the runtime says, else "+cnidirs.DefaultBin+")")
	flags.StringVar(&q.ConfDir, "conf-dir", "", "the runtime's directory of networks (default: what the runtime says, else "+cnidirs.DefaultConf+")")
	flags.StringVar(&q.CRISocket, "cri-socket", "", "the runtime's CRI socket (default: the usual places)")
	_ = cmd.MarkFlagDirname("bin-dir")
	_ = cmd.MarkFlagDirname("conf-dir")
}

// findDirs returns the directories of the node, and logs what is assumed, and why a
// runtime that was named says nothing.
func findDirs(ctx context.Context, q cnidirs.Request, log func(format string, args ...any)) cnidirs.Dirs {
	r := cnidirs.Ask(ctx, q.CRISocket, askFor)
	if q.CRISocket != "" && r.Err != nil {
		log("warning: %v", r.Err)
	}
	d := cnidirs.Of(q, r)
	if assumed := d.Assumption(); assumed != "" {
		log("%s", assumed)
	}
	return d
}

// makeDirs returns the directories to install into, which are there afterwards as
// far as they can be made, and refuses those in which the runtime does not look.
func makeDirs(ctx context.Context, q cnidirs.Request, log func(format string, args ...any)) (d cnidirs.Dirs, err error) {
	d = findDirs(ctx, q, log)
	for _, u := range d.Unread() {
		err = errors.Join(err, u)
	}
	if err == nil {
		err = d.Make(log)
	}
	return d, err
}
