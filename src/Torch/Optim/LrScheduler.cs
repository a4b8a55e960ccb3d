namespace TorchSharp;

public static partial class torch
{
    public static partial class optim
    {
        public static partial class lr_scheduler
        {
            /// <summary>Sets the groups' learning rates by the number of steps; its constructor makes the step to 0.</summary>
            public abstract class LRScheduler
            {
                private readonly Optimizer optimizer = null!;
                private readonly bool verbose;
                private protected readonly List<double> baseRates = [];
                private protected int lastEpoch;
                private List<double> lastRates = [];
                protected int _step_count;

                protected LRScheduler()
                {
                }

                protected LRScheduler(Optimizer optimizer, int last_epoch = -1, bool verbose = false)
                {
                    this.optimizer = optimizer;
                    this.verbose = verbose;
                    lastEpoch = last_epoch;
                    foreach (var group in optimizer.ParamGroups)
                    {
                        if (last_epoch == -1) group.InitialLearningRate = group.LearningRate;
                        baseRates.Add(group.InitialLearningRate);
                    }
                }

                /// <summary>The rates that the last step set, one a group.</summary>
                public IEnumerable<double> get_last_lr() => lastRates;

                protected virtual IEnumerable<double> get_lr() => baseRates;

                protected virtual IEnumerable<double> get_closed_form_lr() => get_lr();

                public virtual void step() => Set(lastEpoch + 1, get_lr);

                /// <summary>Jumps to an epoch; null is the next one.</summary>
                public virtual void step(int? epoch) => Set(epoch ?? lastEpoch + 1, epoch is null ? get_lr : get_closed_form_lr);

                public virtual void step(double current, int? epoch = null) => step(epoch);

                private void Set(int epoch, Func<IEnumerable<double>> rates)
                {
                    _step_count++;
                    lastEpoch = epoch;
                    lastRates = rates().ToList();
                    foreach (var (group, rate) in optimizer.ParamGroups.Zip(lastRates)) group.LearningRate = rate;
                    if (verbose) Console.WriteLine($"Learning rate at {epoch}: {string.Join(", ", lastRates)}");
                }
            }

            /// <summary>The initial rate times a function of the number of steps.</summary>
            public static LRScheduler LambdaLR(Optimizer optimizer, Func<int, double> lr_lambda, int last_epoch = -1, bool verbose = false) =>
                new impl.LambdaLR(optimizer, lr_lambda, last_epoch, verbose);

            public static class impl
            {
                public class LambdaLR : LRScheduler
                {
                    private readonly List<Func<int, double>> lambdas;

                    public LambdaLR(Optimizer optimizer, Func<int, double> lr_lambda, int last_epoch = -1, bool verbose = false)
                        : this(optimizer, optimizer.ParamGroups.Select(_ => lr_lambda), last_epoch, verbose)
                    {
                    }

                    /// <summary>One function a group.</summary>
                    public LambdaLR(Optimizer optimizer, IEnumerable<Func<int, double>> lr_lambdas, int last_epoch = -1, bool verbose = false)
                        : base(optimizer, last_epoch, verbose)
                    {
                        lambdas = lr_lambdas.ToList();
                        if (lambdas.Count != baseRates.Count) throw new ArgumentException($"{lambdas.Count} functions were given for {baseRates.Count} groups.");
                        step();
                    }

                    protected override IEnumerable<double> get_lr() => baseRates.Zip(lambdas, (rate, f) => rate * f(lastEpoch));
                }
            }
        }
    }
}
