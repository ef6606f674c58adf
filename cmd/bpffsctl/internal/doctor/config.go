package doctor

import (
	"context"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/plugin"
)

func checkPluginConfig(ctx context.Context, n *node) []Finding {
	b := n.plugin()
	if len(b.supports) == 0 {
		return notLooked(b.path, "plugin")
	}
	var found []Finding
	calls := n.networks().calls()
	for _, c := range calls {
		ctx, cancel := context.WithTimeout(ctx, starting*n.Patience)
		found = append(found, decidePluginConfig(c, plugin.Check(ctx, b.path, c.Network, b.supports[len(b.supports)-1], c.Raw))...)
		cancel()
	}
	if len(calls) == 0 {
		return pass(n.networks().dir, "no configuration to check")
	}
	return or(found, n.networks().dir, "the plugin accepts "+output.Count(len(calls), "configuration", "configurations"))
}

func decidePluginConfig(c conflist.Call, refused error) []Finding {
	edit := "${EDITOR:-vi} " + output.Quote(c.Path)
	if refused != nil {
		return fail(c.Path, "every pod fails: "+refused.Error(), edit)
	}
	if unknown := c.Config().UnknownKeys(); len(unknown) > 0 {
		return warn(c.Path, "the plugin ignores the unknown "+list(unknown), edit)
	}
	return nil
}
