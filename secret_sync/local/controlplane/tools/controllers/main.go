// The four controllers of kube-controller-manager that the playground's objects need, as that program
// starts them (cmd/kube-controller-manager/app), and nothing else: alone it compiles in a third of the
// time. It takes the same flags.
package main

import (
	"context"
	"flag"
	"os"
	"time"

	"k8s.io/api/core/v1"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
	sa "k8s.io/kubernetes/pkg/controller/serviceaccount"
	"k8s.io/kubernetes/pkg/serviceaccount"
)

const period = 30 * time.Second

var (
	kubeconfig = flag.String("kubeconfig", "", "of the API server")
	keyFile    = flag.String("service-account-private-key-file", "", "signs the tokens in Secrets")
	caFile     = flag.String("root-ca-file", "", "goes into the Secrets with tokens")
	_          = flag.String("controllers", "", "ignored: all there are")
	_          = flag.Bool("leader-elect", false, "ignored: there is one")
	_          = flag.Int("secure-port", 0, "ignored: there is none")
)

func must[T any](value T, err error) T {
	if err != nil {
		klog.ErrorS(err, "cannot start")
		os.Exit(1)
	}
	return value
}

// Each controller has its own limit of calls.
func config(name string, qps float32, burst int) *rest.Config {
	config := must(clientcmd.BuildConfigFromFlags("", *kubeconfig))
	config.QPS, config.Burst = 20*qps, 30*burst
	config.ContentType = "application/vnd.kubernetes.protobuf"
	return rest.AddUserAgent(config, name)
}

func client(name string) kubernetes.Interface {
	return must(kubernetes.NewForConfig(config(name, 1, 1)))
}

func main() {
	flag.Parse()
	ctx := context.Background()
	typed := informers.NewSharedInformerFactory(client("shared-informers"), 12*time.Hour)
	metadataClient := must(metadata.NewForConfig(config("metadata-informers", 1, 1)))
	untyped := metadatainformer.NewSharedInformerFactory(metadataClient, 12*time.Hour)
	started := make(chan struct{})
	runs := []func(){
		tokens(ctx, typed),
		serviceAccounts(ctx, typed),
		namespaces(ctx, typed),
		garbageCollector(ctx, informerfactory.NewInformerFactory(typed, untyped), started),
	}
	for _, run := range runs {
		go run()
	}
	typed.Start(ctx.Done())
	untyped.Start(ctx.Done())
	close(started)
	select {}
}

func garbageCollector(
	ctx context.Context, factory informerfactory.InformerFactory, started chan struct{},
) func() {
	const name = "generic-garbage-collector"
	kube := client(name)
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(
		memory.NewMemCacheClient(client("controller-discovery").Discovery()))
	go func() {
		for range time.Tick(period) {
			mapper.Reset()
		}
	}()
	collector := must(garbagecollector.NewGarbageCollector(
		ctx, kube, must(metadata.NewForConfig(config(name, 2, 1))), mapper,
		garbagecollector.DefaultIgnoredResources(), factory, started))
	go collector.Sync(ctx, kube.Discovery(), period)
	return func() { collector.Run(ctx, 20, period) }
}

func namespaces(ctx context.Context, factory informers.SharedInformerFactory) func() {
	// It makes many calls of discovery and of deletion.
	own := config("namespace-controller", 20, 100)
	kube := must(kubernetes.NewForConfig(own))
	controller := namespace.NewNamespaceController(
		ctx, kube, must(metadata.NewForConfig(own)),
		kube.Discovery().ServerPreferredNamespacedResources,
		factory.Core().V1().Namespaces(), 5*time.Minute, v1.FinalizerKubernetes)
	return func() { controller.Run(ctx, 10) }
}

func serviceAccounts(ctx context.Context, factory informers.SharedInformerFactory) func() {
	controller := must(sa.NewServiceAccountsController(
		klog.FromContext(ctx), factory.Core().V1().ServiceAccounts(), factory.Core().V1().Namespaces(),
		client("service-account-controller"), sa.DefaultServiceAccountsControllerOptions()))
	return func() { controller.Run(ctx, 1) }
}

func tokens(ctx context.Context, factory informers.SharedInformerFactory) func() {
	key := must(keyutil.PrivateKeyFromFile(*keyFile))
	controller := must(sa.NewTokensController(
		klog.FromContext(ctx), factory.Core().V1().ServiceAccounts(), factory.Core().V1().Secrets(),
		client("tokens-controller"), sa.TokensControllerOptions{
			TokenGenerator: must(serviceaccount.JWTTokenGenerator(serviceaccount.LegacyIssuer, key)),
			RootCA:         must(os.ReadFile(*caFile)),
		}))
	return func() { controller.Run(ctx, 5) }
}
