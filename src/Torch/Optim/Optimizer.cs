using TorchSharp.Modules;

namespace TorchSharp
{
    public static partial class torch
    {
        public static partial class optim
        {
            /// <summary>What a scheduler may change.</summary>
            public interface ILearningRateController
            {
                double LearningRate { get; set; }
                double InitialLearningRate { get; set; }
            }

            public interface IBetas
            {
                (double, double) Betas { get; set; }
            }

            public interface IMomentum
            {
                double Momentum { get; set; }
            }

            /// <summary>Changes parameters by their gradients.</summary>
            public abstract class Optimizer : IDisposable
            {
                protected IList<ParamGroup> _parameter_groups = [];

                private protected Optimizer()
                {
                }

                public virtual IEnumerable<ILearningRateController> ParamGroups => _parameter_groups;

                public virtual IEnumerable<Parameter> parameters() => _parameter_groups.SelectMany(g => g.Parameters);

                public virtual void add_param_group(ParamGroup param_group) => _parameter_groups.Add(param_group);

                /// <summary>Zeroes the gradients in place; the buffers stay.</summary>
                public virtual void zero_grad()
                {
                    using var quiet = no_grad();
                    using var scope = NewDisposeScope();
                    foreach (var p in parameters()) p.grad?.zero_();
                }

                /// <summary>One step. A closure computes the loss anew, with gradients on; its result is returned.</summary>
                public virtual Tensor? step(Func<Tensor>? closure = null) => closure?.Invoke();

                public void Dispose()
                {
                    Dispose(true);
                    GC.SuppressFinalize(this);
                }

                protected virtual void Dispose(bool disposing)
                {
                }

                /// <summary>The options of every group and the state of every parameter, live: what a checkpoint saves and restores.</summary>
                public class StateDictionary
                {
                    internal StateDictionary(List<OptimizerOptions> options, List<OptimizerState> state, List<List<int>> refs) => (Options, State, StateIndexRef) = (options, state, refs);

                    /// <summary>One a group.</summary>
                    public List<OptimizerOptions> Options { get; }

                    /// <summary>One a parameter, in the order of parameters().</summary>
                    public List<OptimizerState> State { get; }

                    /// <summary>For every group, where its parameters' states stand in State.</summary>
                    public List<List<int>> StateIndexRef { get; }
                }
            }
        }
    }
}

namespace TorchSharp.Modules
{
    /// <summary>What a group may set; null takes the optimizer's value.</summary>
    public class OptimizerOptions
    {
        public double? LearningRate { get; set; }
        public double InitialLearningRate { get; set; }

        public virtual void LoadStateDict(OptimizerOptions source)
        {
            LearningRate = source.LearningRate;
            InitialLearningRate = source.InitialLearningRate;
        }
    }

    /// <summary>What an optimizer remembers of one parameter.</summary>
    public abstract class OptimizerState
    {
        protected Parameter _parameter;

        protected OptimizerState(Parameter parameter) => _parameter = parameter;

        public virtual bool ApproximatelyEquals(OptimizerState other) => false;

        /// <summary>The state before the first step.</summary>
        public abstract void Initialize(OptimizerOptions options);

        /// <summary>Copies the state of another, of the same shape.</summary>
        public abstract void LoadStateDict(OptimizerState source);

        public virtual void to(torch.Device device)
        {
        }
    }

    /// <summary>Parameters that share their options.</summary>
    public class ParamGroup : torch.optim.ILearningRateController
    {
        public IEnumerable<Parameter> Parameters { get; set; } = [];

        public OptimizerOptions Options { get; set; } = null!;

        public double LearningRate
        {
            get => Options.LearningRate ?? throw new InvalidOperationException("The group has no learning rate until it belongs to an optimizer.");
            set => Options.LearningRate = value;
        }

        public double InitialLearningRate
        {
            get => Options.InitialLearningRate;
            set => Options.InitialLearningRate = value;
        }
    }

    public class ParamGroup<TOptions> : ParamGroup where TOptions : OptimizerOptions
    {
        public ParamGroup()
        {
        }

        public ParamGroup(IEnumerable<Parameter> parameters, TOptions? options = null)
        {
            Parameters = parameters;
            base.Options = options!;
        }

        public new TOptions Options
        {
            get => (TOptions)base.Options;
            set => base.Options = value;
        }
    }

    /// <summary>What the optimizers have in common: a state for every parameter, kept in the order of the groups.</summary>
    public abstract class OptimizerHelper : torch.optim.Optimizer
    {
        protected OptimizerOptions _defaults = null!;
        private protected readonly Dictionary<nint, OptimizerState> states = [];

        public OptimizerHelper()
        {
        }

        /// <summary>The live states and options.</summary>
        public virtual StateDictionary state_dict()
        {
            var state = new List<OptimizerState>();
            var refs = new List<List<int>>();
            foreach (var group in _parameter_groups)
            {
                var row = new List<int>();
                foreach (var p in group.Parameters)
                {
                    row.Add(state.Count);
                    state.Add(states[p.Handle]);
                }
                refs.Add(row);
            }
            return new StateDictionary(_parameter_groups.Select(g => g.Options).ToList(), state, refs);
        }

        /// <summary>Copies options and states of the same number of groups and parameters.</summary>
        /// <exception cref="ArgumentException">The numbers differ.</exception>
        public virtual void load_state_dict(StateDictionary state_dict)
        {
            var own = this.state_dict();
            if (own.Options.Count != state_dict.Options.Count || own.State.Count != state_dict.State.Count)
                throw new ArgumentException($"The optimizer has {own.Options.Count} groups and {own.State.Count} parameters, the state {state_dict.Options.Count} and {state_dict.State.Count}.");
            for (int k = 0; k < own.Options.Count; k++) own.Options[k].LoadStateDict(state_dict.Options[k]);
            for (int k = 0; k < own.State.Count; k++) own.State[k].LoadStateDict(state_dict.State[k]);
        }

        /// <summary>Moves the states to a device.</summary>
        public void to(torch.Device device)
        {
            foreach (var s in states.Values) s.to(device);
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing) foreach (var s in states.Values) (s as IDisposable)?.Dispose();
            states.Clear();
            base.Dispose(disposing);
        }

        private protected torch.Tensor? Step<T>(Action<T> body, Func<torch.Tensor>? closure) where T : ParamGroup
        {
            torch.Tensor? loss = null;
            if (closure is not null)
                using (torch.enable_grad())
                    loss = closure();
            using var quiet = torch.no_grad();
            using var scope = torch.NewDisposeScope();
            foreach (var group in _parameter_groups) body((T)group);
            return loss;
        }
    }
}
