using TorchSharp.Modules;

namespace TorchSharp
{
    public static partial class torch
    {
        public static partial class optim
        {
            /// <summary>Stochastic gradient descent, with momentum where it is above 0 (Sutskever et al. 2013).</summary>
            public static SGD SGD(IEnumerable<Parameter> parameters, double learningRate, double momentum = 0, double dampening = 0, double weight_decay = 0, bool nesterov = false, bool maximize = false) =>
                new(parameters, learningRate, momentum, dampening, weight_decay, nesterov, maximize);

            public static SGD SGD(IEnumerable<SGD.ParamGroup> parameters, double learningRate, double momentum = 0, double dampening = 0, double weight_decay = 0, bool nesterov = false, bool maximize = false) =>
                new(parameters, learningRate, momentum, dampening, weight_decay, nesterov, maximize);
        }
    }
}

namespace TorchSharp.Modules
{
    /// <summary>
    /// d = gradient + weight_decay * p; the buffer b is d at first, then momentum * b + (1 - dampening) * d; p -= lr * b, or with
    /// nesterov p -= lr * (d + momentum * b). Parameters without a gradient are left as they are.
    /// </summary>
    public class SGD : OptimizerHelper, torch.optim.IMomentum
    {
        public SGD(IEnumerable<Parameter> parameters, double lr, double momentum = 0, double dampening = 0, double weight_decay = 0, bool nesterov = false, bool maximize = false)
            : this([new ParamGroup(parameters, new Options())], lr, momentum, dampening, weight_decay, nesterov, maximize)
        {
        }

        public SGD(IEnumerable<ParamGroup> parameters, double lr, double momentum = 0, double dampening = 0, double weight_decay = 0, bool nesterov = false, bool maximize = false)
        {
            if (nesterov && (momentum <= 0 || dampening != 0)) throw new ArgumentException("Nesterov momentum needs a momentum above 0 and a dampening of 0.");
            _defaults = new Options
            {
                LearningRate = lr, InitialLearningRate = lr, momentum = momentum, dampening = dampening,
                weight_decay = weight_decay, nesterov = nesterov, maximize = maximize,
            };
            foreach (var group in parameters) add_param_group(group);
        }

        /// <summary>The momentum of every group.</summary>
        public virtual double Momentum
        {
            get => _parameter_groups.Select(g => ((ParamGroup)g).Momentum).Distinct().Count() <= 1
                ? ((ParamGroup)_parameter_groups[0]).Momentum
                : throw new InvalidOperationException("The groups have different momenta; ask each group.");
            set
            {
                foreach (var g in _parameter_groups) ((ParamGroup)g).Momentum = value;
            }
        }

        public override void add_param_group(Modules.ParamGroup param_group)
        {
            var defaults = (Options)_defaults;
            var options = (Options)(param_group.Options ??= new Options());
            options.LearningRate ??= defaults.LearningRate;
            options.InitialLearningRate = options.LearningRate!.Value;
            options.momentum ??= defaults.momentum;
            options.dampening ??= defaults.dampening;
            options.weight_decay ??= defaults.weight_decay;
            options.nesterov ??= defaults.nesterov;
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
            foreach (var p in group.Parameters)
            {
                if (p.grad is not { } grad) continue;
                var direction = o.maximize!.Value ? grad.neg() : grad;
                if (o.weight_decay!.Value != 0) direction = direction.add(p, o.weight_decay.Value);
                if (o.momentum!.Value != 0)
                {
                    var state = (State)states[p.Handle];
                    if (state.momentum_buffer is null) state.momentum_buffer = direction.clone().DetachFromDisposeScope();
                    else state.momentum_buffer.mul_(o.momentum.Value).add_(direction, 1 - o.dampening!.Value);
                    direction = o.nesterov!.Value ? direction.add(state.momentum_buffer, o.momentum.Value) : state.momentum_buffer;
                }
                p.add_(direction, -o.LearningRate!.Value);
            }
        }, closure);

        public class Options : OptimizerOptions
        {
            public double? momentum, dampening, weight_decay;
            public bool? nesterov, maximize;

            public override void LoadStateDict(OptimizerOptions source)
            {
                base.LoadStateDict(source);
                var s = (Options)source;
                (momentum, dampening, weight_decay, nesterov, maximize) = (s.momentum, s.dampening, s.weight_decay, s.nesterov, s.maximize);
            }
        }

        public class ParamGroup : ParamGroup<Options>, torch.optim.IMomentum
        {
            public ParamGroup()
            {
            }

            /// <summary>What the options leave null is the optimizer's.</summary>
            public ParamGroup(IEnumerable<Parameter> parameters, Options options) : base(parameters, options)
            {
            }

            /// <summary>Fixes every option of the group.</summary>
            public ParamGroup(IEnumerable<Parameter> parameters, double lr = 0.001, double momentum = 0, double dampening = 0, double weight_decay = 0, bool nesterov = false, bool maximize = false)
                : base(parameters, new Options { LearningRate = lr, momentum = momentum, dampening = dampening, weight_decay = weight_decay, nesterov = nesterov, maximize = maximize })
            {
            }

            public double Momentum
            {
                get => Options.momentum!.Value;
                set => Options.momentum = value;
            }
        }

        /// <summary>The buffer: same shape and dtype as the parameter; null before the first step and without momentum.</summary>
        public sealed class State : OptimizerState, IDisposable
        {
            public torch.Tensor? momentum_buffer;

            public State(Parameter parameter) : base(parameter)
            {
            }

            public override void Initialize(OptimizerOptions options) => momentum_buffer = null;

            public override void LoadStateDict(OptimizerState source)
            {
                var s = (State)source;
                using var quiet = torch.no_grad();
                momentum_buffer?.Dispose();
                momentum_buffer = s.momentum_buffer?.clone().DetachFromDisposeScope();
            }

            public override bool ApproximatelyEquals(OptimizerState other) =>
                other is State s && (momentum_buffer is null ? s.momentum_buffer is null : s.momentum_buffer is not null && momentum_buffer.allclose(s.momentum_buffer));

            public override void to(torch.Device device) => momentum_buffer = momentum_buffer?.to(device, disposeAfter: true).DetachFromDisposeScope();

            public void Dispose() => momentum_buffer?.Dispose();
        }
    }
}
