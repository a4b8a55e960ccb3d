using TorchSharp.Modules;
using TorchSharp.Native;
using static TorchSharp.Native.Calls;

namespace TorchSharp
{
    public static partial class torch
    {
        public static partial class optim
        {
            /// <summary>Adam with decoupled weight decay (Loshchilov and Hutter 2019). weight_decay defaults to 0 here, unlike in Python.</summary>
            public static AdamW AdamW(IEnumerable<Parameter> parameters, double lr = 0.001, double beta1 = 0.9, double beta2 = 0.999, double eps = 1e-08, double weight_decay = 0, bool amsgrad = false, bool maximize = false) =>
                new(parameters, lr, beta1, beta2, eps, weight_decay, amsgrad, maximize);

            public static AdamW AdamW(IEnumerable<(string name, Parameter parameter)> parameters, double lr = 0.001, double beta1 = 0.9, double beta2 = 0.999, double eps = 1e-08, double weight_decay = 0, bool amsgrad = false, bool maximize = false) =>
                new(parameters.Select(p => p.parameter), lr, beta1, beta2, eps, weight_decay, amsgrad, maximize);

            public static AdamW AdamW(IEnumerable<AdamW.ParamGroup> parameters, double lr = 0.001, double beta1 = 0.9, double beta2 = 0.999, double eps = 1e-08, double weight_decay = 0, bool amsgrad = false, bool maximize = false) =>
                new(parameters, lr, beta1, beta2, eps, weight_decay, amsgrad, maximize);
        }
    }
}

namespace TorchSharp.Modules
{
    /// <summary>
    /// p *= 1 - lr * weight_decay; m and v are the running means of the gradient and its square;
    /// p -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps). Parameters without a gradient are left as they are.
    /// </summary>
    public class AdamW : OptimizerHelper, torch.optim.IBetas
    {
        public AdamW(IEnumerable<Parameter> parameters, double lr = 0.001, double beta1 = 0.9, double beta2 = 0.999, double eps = 1e-08, double weight_decay = 0, bool amsgrad = false, bool maximize = false)
            : this([new ParamGroup(parameters, new Options())], lr, beta1, beta2, eps, weight_decay, amsgrad, maximize)
        {
        }

        public AdamW(IEnumerable<ParamGroup> parameters, double lr = 0.001, double beta1 = 0.9, double beta2 = 0.999, double eps = 1e-08, double weight_decay = 0, bool amsgrad = false, bool maximize = false)
        {
            _defaults = new Options
            {
                LearningRate = lr, InitialLearningRate = lr, beta1 = beta1, beta2 = beta2, eps = eps,
                weight_decay = weight_decay, amsgrad = amsgrad, maximize = maximize,
            };
            foreach (var group in parameters) add_param_group(group);
        }

        /// <summary>The decay rates of m and v, of every group.</summary>
        public virtual (double, double) Betas
        {
            get => _parameter_groups.Select(g => ((ParamGroup)g).Betas).Distinct().Count() <= 1
                ? ((ParamGroup)_parameter_groups[0]).Betas
                : throw new InvalidOperationException("The groups have different betas; ask each group.");
            set
            {
                foreach (var g in _parameter_groups) ((ParamGroup)g).Betas = value;
            }
        }

        public override void add_param_group(Modules.ParamGroup param_group)
        {
            var defaults = (Options)_defaults;
            var options = (Options)(param_group.Options ??= new Options());
            options.LearningRate ??= defaults.LearningRate;
            options.InitialLearningRate = options.LearningRate!.Value;
            options.beta1 ??= defaults.beta1;
            options.beta2 ??= defaults.beta2;
            options.eps ??= defaults.eps;
            options.weight_decay ??= defaults.weight_decay;
            options.amsgrad ??= defaults.amsgrad;
            options.maximize ??= defaults.maximize;
            param_group.Parameters = param_group.Parameters.ToList();
            base.add_param_group(param_group);
            foreach (var p in param_group.Parameters)
            {
                var state = new State(p);
                if (!states.TryAdd(p.Handle, state)) throw new ArgumentException($"The parameter of shape [{string.Join(", ", p.shape)}] is given to the optimizer twice.");
                state.Initialize(options);
            }
        }

        public override torch.Tensor? step(Func<torch.Tensor>? closure = null) => Step<ParamGroup>(group =>
        {
            var o = group.Options;
            double lr = o.LearningRate!.Value, beta1 = o.beta1!.Value, beta2 = o.beta2!.Value;
            var ready = group.Parameters.Select(p => (p, grad: p.grad, state: (State)states[p.Handle])).Where(x => x.grad is not null).ToList();
            foreach (var (_, _, state) in ready) state.step++;

            // Parameters at the same step (all of them, as a rule) share their scalars and are updated by one call an operation.
            foreach (var same in ready.GroupBy(x => (x.state.step, x.p.dtype)))
            {
                double correction1 = 1 - Math.Pow(beta1, same.Key.step), correction2 = 1 - Math.Pow(beta2, same.Key.step);
                if (!o.amsgrad!.Value && !o.maximize!.Value &&
                    Fused.AdamW(same.ToList(), lr, beta1, beta2, o.eps!.Value, o.weight_decay!.Value, correction1, correction2)) continue;

                var p = same.Select(x => (torch.Tensor)x.p).ToArray();
                var g = same.Select(x => x.grad!).ToArray();
                var m = same.Select(x => x.state.exp_avg).ToArray();
                var v = same.Select(x => x.state.exp_avg_sq).ToArray();
                if (o.maximize!.Value) g = [.. g.Select(t => t.neg())];

                if (o.weight_decay!.Value != 0) CallVoid(Ops._foreach_mul__Scalar, p, 1 - lr * o.weight_decay.Value);
                CallVoid(Ops._foreach_mul__Scalar, m, beta1);
                CallVoid(Ops._foreach_add__List, m, g, 1 - beta1);
                CallVoid(Ops._foreach_mul__Scalar, v, beta2);
                CallVoid(Ops._foreach_addcmul__Scalar, v, g, g, 1 - beta2);
                if (o.amsgrad!.Value)
                    foreach (var x in same) x.state.max_exp_avg_sq!.copy_(x.state.max_exp_avg_sq.maximum(x.state.exp_avg_sq));
                var denominator = CallList(Ops._foreach_sqrt, o.amsgrad.Value ? [.. same.Select(x => x.state.max_exp_avg_sq!)] : v);
                CallVoid(Ops._foreach_div__Scalar, denominator, Math.Sqrt(correction2));
                CallVoid(Ops._foreach_add__Scalar, denominator, o.eps!.Value);
                CallVoid(Ops._foreach_addcdiv__Scalar, p, m, denominator, -lr / correction1);
                foreach (var d in denominator) d.Dispose();
            }
        }, closure);

        public class Options : OptimizerOptions
        {
            public double? beta1, beta2, weight_decay, eps;
            public bool? amsgrad, maximize;

            public override void LoadStateDict(OptimizerOptions source)
            {
                base.LoadStateDict(source);
                var s = (Options)source;
                (beta1, beta2, weight_decay, eps, amsgrad, maximize) = (s.beta1, s.beta2, s.weight_decay, s.eps, s.amsgrad, s.maximize);
            }
        }

        public class ParamGroup : ParamGroup<Options>, torch.optim.IBetas
        {
            public ParamGroup()
            {
            }

            /// <summary>What the options leave null is the optimizer's.</summary>
            public ParamGroup(IEnumerable<Parameter> parameters, Options options) : base(parameters, options)
            {
            }

            /// <summary>Fixes every option of the group.</summary>
            public ParamGroup(IEnumerable<Parameter> parameters, double lr = 0.001, double beta1 = 0.9, double beta2 = 0.999, double eps = 1e-08, double weight_decay = 0, bool amsgrad = false, bool maximize = false)
                : base(parameters, new Options { LearningRate = lr, beta1 = beta1, beta2 = beta2, eps = eps, weight_decay = weight_decay, amsgrad = amsgrad, maximize = maximize })
            {
            }

            public (double, double) Betas
            {
                get => (Options.beta1!.Value, Options.beta2!.Value);
                set => (Options.beta1, Options.beta2) = value;
            }
        }

        /// <summary>The steps taken, and the moments: same shape and dtype as the parameter.</summary>
        public sealed class State : OptimizerState, IDisposable
        {
            public long step;
            public torch.Tensor exp_avg = null!;
            public torch.Tensor exp_avg_sq = null!;
            public torch.Tensor? max_exp_avg_sq;

            public State(Parameter parameter) : base(parameter)
            {
            }

            public override void Initialize(OptimizerOptions options)
            {
                step = 0;
                exp_avg = torch.zeros_like(_parameter).DetachFromDisposeScope();
                exp_avg_sq = torch.zeros_like(_parameter).DetachFromDisposeScope();
                if (((Options)options).amsgrad == true) max_exp_avg_sq = torch.zeros_like(_parameter).DetachFromDisposeScope();
            }

            public override void LoadStateDict(OptimizerState source)
            {
                var s = (State)source;
                using var quiet = torch.no_grad();
                using var scope = torch.NewDisposeScope();
                step = s.step;
                exp_avg.copy_(s.exp_avg);
                exp_avg_sq.copy_(s.exp_avg_sq);
                if (max_exp_avg_sq is not null && s.max_exp_avg_sq is not null) max_exp_avg_sq.copy_(s.max_exp_avg_sq);
            }

            public override bool ApproximatelyEquals(OptimizerState other) =>
                other is State s && s.step == step && exp_avg.allclose(s.exp_avg) && exp_avg_sq.allclose(s.exp_avg_sq);

            public override void to(torch.Device device)
            {
                exp_avg = exp_avg.to(device, disposeAfter: true).DetachFromDisposeScope();
                exp_avg_sq = exp_avg_sq.to(device, disposeAfter: true).DetachFromDisposeScope();
                max_exp_avg_sq = max_exp_avg_sq?.to(device, disposeAfter: true).DetachFromDisposeScope();
            }

            public void Dispose()
            {
                exp_avg.Dispose();
                exp_avg_sq.Dispose();
                max_exp_avg_sq?.Dispose();
            }
        }
    }
}
