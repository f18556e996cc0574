package main

import (
	admissionregistration "k8s.io/api/admissionregistration/v1"
	apps "k8s.io/api/apps/v1"
	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
	autoscaling "k8s.io/api/autoscaling/v1"
	batch "k8s.io/api/batch/v1"
	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	events "k8s.io/api/events/v1"
	policy "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"reflect"
)

// root is a kind of the API: a Go type and the group it is served in ("*": in every group, as DeleteOptions is).
type root struct {
	group string
	value any
}

const (
	hooks  = "admissionregistration.k8s.io"
	access = "authorization.k8s.io"
	roles  = "rbac.authorization.k8s.io"
)

var roots = []root{
	{"", core.Namespace{}}, {"", core.Node{}}, {"", core.Pod{}}, {"", core.Service{}}, {"", core.Endpoints{}},
	{"", core.ServiceAccount{}}, {"", core.Secret{}}, {"", core.ConfigMap{}}, {"", core.Event{}}, {"", core.Binding{}},
	{"apps", apps.Deployment{}}, {"apps", apps.ReplicaSet{}}, {"apps", apps.DaemonSet{}}, {"batch", batch.Job{}},
	{"discovery.k8s.io", discovery.EndpointSlice{}}, {"coordination.k8s.io", coordination.Lease{}},
	{"events.k8s.io", events.Event{}}, {"autoscaling", autoscaling.Scale{}}, {"policy", policy.Eviction{}},
	{"apiextensions.k8s.io", apiextensions.CustomResourceDefinition{}},
	{hooks, admissionregistration.MutatingWebhookConfiguration{}},
	{hooks, admissionregistration.ValidatingWebhookConfiguration{}},
	{roles, rbac.Role{}}, {roles, rbac.RoleBinding{}}, {roles, rbac.ClusterRole{}}, {roles, rbac.ClusterRoleBinding{}},
	{"authentication.k8s.io", authentication.TokenRequest{}}, {"authentication.k8s.io", authentication.TokenReview{}},
	{"authentication.k8s.io", authentication.SelfSubjectReview{}},
	{access, authorization.SubjectAccessReview{}}, {access, authorization.LocalSubjectAccessReview{}},
	{access, authorization.SelfSubjectAccessReview{}}, {access, authorization.SelfSubjectRulesReview{}},
	{"*", metav1.DeleteOptions{}}, {"*", metav1.Status{}},
}

func (r root) kinds() []any {
	kind := object{"group": r.group, "version": "v1", "kind": reflect.TypeOf(r.value).Name()}
	return []any{kind}
}
