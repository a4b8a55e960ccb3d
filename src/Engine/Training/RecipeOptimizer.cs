using System.Globalization;
using System.Text.RegularExpressions;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Training;

/// <summary>
/// The optimizer that a recipe asks for, over groups of parameters with their own share of the learning rate and their own
/// weight decay, and its state parameter by parameter, which a checkpoint keeps.
/// </summary>
internal abstract partial class RecipeOptimizer : IDisposable
{
    private readonly IReadOnlyList<Group> groups;

    private RecipeOptimizer(IReadOnlyList<Group> groups) => this.groups = groups;

    private sealed record Group(IReadOnlyList<(string Name, Parameter Parameter)> Parameters, double RateShare, double WeightDecay);

    /// <summary>The parameters, in the order of <see cref="Steps"/> and <see cref="StateOf"/>.</summary>
    public IReadOnlyList<(string Name, Parameter Parameter)> Parameters => [.. groups.SelectMany(g => g.Parameters)];

    public static RecipeOptimizer For(IEnumerable<(string Name, Parameter Parameter)> trained, RunRecipe recipe)
    {
        var groups = GroupsOf([.. trained], recipe);
        return recipe.Optimizer switch
        {
            OptimizerKind.Sgd => new OfSgd(groups, recipe),
            OptimizerKind.Adafactor => new OfAdafactor(groups),
            _ => new OfAdamW(groups, recipe),
        };
    }

    /// <summary>Sets the learning rate of the head; a group below has its share of it.</summary>
    public abstract void SetRate(double rate);

    /// <summary>Moves every parameter that has a gradient.</summary>
    public abstract void Step();

    /// <summary>How many steps have moved each parameter; of SGD only whether any has.</summary>
    public abstract IReadOnlyList<long> Steps { get; }

    /// <summary>What the next step depends on besides <see cref="Steps"/>, live, of a parameter that has moved.</summary>
    public abstract IEnumerable<(string Prefix, Tensor Tensor)> StateOf(int parameter);

    /// <summary>Makes <see cref="StateOf"/> ready to be filled, as after so many steps.</summary>
    public abstract void Restore(int parameter, long steps);

    /// <summary>Whether weight decay acts on a parameter: on matrices, not on norms and biases, as is usual for BERT and its kin.</summary>
    internal static bool Decays(string name) => !name.EndsWith(".bias") && !name.EndsWith(".lora_magnitude_vector") && !Norm().IsMatch(name);

    /// <summary>
    /// Decayed parameters first, then from the head down. The rate of a part is the layer decay to the power of how many parts lie
    /// above it (Howard and Ruder 2018, arXiv:1801.06146): 0 for the head, 1 for the last block and the pooler, and so on to the embeddings.
    /// </summary>
    private static List<Group> GroupsOf(IReadOnlyList<(string Name, Parameter Parameter)> trained, RunRecipe recipe)
    {
        var top = trained.Select(p => BlockOf(p.Name)).Max() ?? -1;
        double Share(string name) => Math.Pow(recipe.LayerDecay, BlockOf(name) is { } block ? 1 + top - block
            : name.Contains(".embeddings.") || EmbeddingOfDecoder().IsMatch(name) ? 2 + top : name.Contains(".pooler.") ? 1 : 0);
        return [.. trained.GroupBy(p => (Decays: Decays(p.Name), Share: Share(p.Name))).OrderBy(g => !g.Key.Decays).ThenByDescending(g => g.Key.Share)
            .Select(g => new Group([.. g], g.Key.Share, g.Key.Decays ? recipe.WeightDecay : 0))];
    }

    internal static int? BlockOf(string name) => BlockNumber().Match(name) is { Success: true } match ? int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) : null;

    [GeneratedRegex(@"\.(?:layers?|h)\.(\d+)\.")]
    private static partial Regex BlockNumber();

    [GeneratedRegex(@"\.(?:embed_tokens|wte|wpe)\.")]
    private static partial Regex EmbeddingOfDecoder();

    /// <summary>Norms of BERT and its kin, of Llama and of GPT-2.</summary>
    [GeneratedRegex(@"LayerNorm|layer_?norm|\.norm\.weight$|\.ln_(?:1|2|f)\.")]
    private static partial Regex Norm();

    public abstract void Dispose();

    private sealed class OfAdamW(IReadOnlyList<Group> groups, RunRecipe recipe) : RecipeOptimizer(groups)
    {
        private readonly AdamW optimizer = optim.AdamW(groups.Select(g => new AdamW.ParamGroup(g.Parameters.Select(p => p.Parameter),
            new AdamW.Options { LearningRate = recipe.LearningRate * g.RateShare, weight_decay = g.WeightDecay })), lr: recipe.LearningRate);

        private List<AdamW.State> States => [.. optimizer.state_dict().State.Cast<AdamW.State>()];

        public override void SetRate(double rate) => Set(optimizer, rate);

        public override void Step() => optimizer.step();

        public override IReadOnlyList<long> Steps => [.. States.Select(s => s.step)];

        public override IEnumerable<(string, Tensor)> StateOf(int parameter) => States[parameter] is var state ? [("exp_avg.", state.exp_avg), ("exp_avg_sq.", state.exp_avg_sq)] : [];

        public override void Restore(int parameter, long steps) => States[parameter].step = steps;

        public override void Dispose() => optimizer.Dispose();
    }

    private sealed class OfSgd(IReadOnlyList<Group> groups, RunRecipe recipe) : RecipeOptimizer(groups)
    {
        private readonly SGD optimizer = optim.SGD(groups.Select(g => new SGD.ParamGroup(g.Parameters.Select(p => p.Parameter),
            new SGD.Options { LearningRate = recipe.LearningRate * g.RateShare, weight_decay = g.WeightDecay })), recipe.LearningRate, recipe.Momentum);

        private List<SGD.State> States => [.. optimizer.state_dict().State.Cast<SGD.State>()];

        public override void SetRate(double rate) => Set(optimizer, rate);

        public override void Step() => optimizer.step();

        public override IReadOnlyList<long> Steps => [.. States.Select(s => s.momentum_buffer is null ? 0L : 1)];

        public override IEnumerable<(string, Tensor)> StateOf(int parameter) => States[parameter].momentum_buffer is { } buffer ? [("momentum_buffer.", buffer)] : [];

        public override void Restore(int parameter, long steps)
        {
            if (steps > 0) States[parameter].momentum_buffer ??= zeros_like(Parameters[parameter].Parameter, requires_grad: false).DetachFromDisposeScope();
        }

        public override void Dispose() => optimizer.Dispose();
    }

    private sealed class OfAdafactor(IReadOnlyList<Group> groups) : RecipeOptimizer(groups)
    {
        private readonly List<(Adafactor One, Group Group)> optimizers = [.. groups.SelectMany(g => g.Parameters.Select(p => (new Adafactor(p.Parameter), g)))];
        private double rate;

        public override void SetRate(double rate) => this.rate = rate;

        public override void Step()
        {
            foreach (var (one, group) in optimizers) one.Step(rate * group.RateShare, group.WeightDecay);
        }

        public override IReadOnlyList<long> Steps => [.. optimizers.Select(o => o.One.Steps)];

        public override IEnumerable<(string, Tensor)> StateOf(int parameter) => optimizers[parameter].One.State;

        public override void Restore(int parameter, long steps) => optimizers[parameter].One.Steps = steps;

        public override void Dispose()
        {
            foreach (var (one, _) in optimizers) one.Dispose();
        }
    }

    private void Set(optim.Optimizer optimizer, double rate)
    {
        foreach (var (group, own) in optimizer.ParamGroups.Zip(groups)) group.LearningRate = rate * own.RateShare;
    }
}
