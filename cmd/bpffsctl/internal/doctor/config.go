package doctor

import (
	"context"

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
		ctx, cancel := context.WithTimeout(ctx, n.Patience)
		found = append(found, decidePluginConfig(u, plugin.Check(ctx, b.path, u.network, b.supports[len(b.supports)-1], u.raw))...)
		cancel()
	}
	if len(uses) == 0 {
		return pass(n.networks().dir, "no configuration to check")
	}
	return or(found, n.networks().dir, "the plugin accepts "+output.Count(len(uses), "configuration", "configurations"))
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
