# What syft says of one of our programs, without what differs from run to run. Our
# own code is no module in the cache, where syft looks for licences: its version and
# licence are added. Of the files that syft finds those stay whose licence it knows.
# If a component has none, there is no result.
def ours: .type == "file" or (.name | startswith("github.com/cni-bpffs/"));
def licensed: if ours then .licenses = [{license: {id: "Apache-2.0"}}]
	else .licenses = ([.licenses // [] | .[] | select(.expression or .license.id) | del(.license.url)] | unique) end;

.metadata.component.version as $version
| del(.serialNumber, .metadata.timestamp, .metadata.component."bom-ref")
| (.components[] | select(.type == "file") | .name) |= (split("/") | last)
| (.metadata.component, .components[]) |= licensed
| (.components[] | select(.version == "UNKNOWN")).version = $version
| [.components[] | select(.licenses == []) | "\(.name)@\(.version)"] as $without
| if $without == [] then . else error("no known licence: " + ($without | join(", "))) end
