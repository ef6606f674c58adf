package doctor

import (
	"context"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/plugin"
)

func checkPluginConfig(ctx context.Context, n *node) []Finding {
	b := n.plugin()
	if len(b.supports) == 0 {
		return notLooked(b.path, "plugin")
	}
	var found []Finding
	uses := n.networks().uses()
	for _, u := range uses {
		found = append(found, decidePluginConfig(u, b.check(ctx, u, n.Patience))...)
	}
	switch {
	case len(uses) == 0:
		return pass(n.networks().dir, "no configuration to check")
	case found == nil:
		return pass(n.networks().dir, "the plugin accepts "+output.Count(len(uses), "configuration", "configurations"))
	}
	return found
}

func decidePluginConfig(u use, refused error) []Finding {
	edit := "${EDITOR:-vi} " + output.Quote(u.path)
	if refused != nil {
		return fail(u.path, "every pod fails: "+refused.Error(), edit)
	}
	if unknown := u.conf.UnknownKeys(); len(unknown) > 0 {
		return warn(u.path, "the plugin does not know "+list(unknown)+", and ignores it", edit)
	}
	return nil
}

// check returns what the plugin has against a configuration.
func (b binary) check(ctx context.Context, u use, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return plugin.Check(ctx, b.path, u.network, b.supports[len(b.supports)-1], u.raw)
}
