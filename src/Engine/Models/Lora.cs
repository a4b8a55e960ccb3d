using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Models;

/// <summary>How adapters are made.</summary>
/// <param name="Rank">Numbers between the two small matrices.</param>
/// <param name="Alpha">The change is multiplied by Alpha / Rank.</param>
/// <param name="Targets">Names of layers that get an adapter: a layer's own name, such as q_proj, or its whole path.</param>
/// <param name="Dropout">Probability for the adapter's input, in training.</param>
/// <param name="RankStabilized">Alpha / sqrt(Rank) instead (Kalajdzievski 2023, arXiv:2312.03732, rsLoRA).</param>
/// <param name="WeightDecomposed">Learn the length of each output's weights apart from their direction (Liu et al. 2024, arXiv:2402.09353, DoRA).</param>
/// <param name="TrainedWhole">Names of layers that are trained themselves and saved beside the adapters, such as a new classifier.</param>
public sealed record LoraConfig(int Rank, double Alpha, IReadOnlyList<string> Targets, double Dropout = 0, bool RankStabilized = false,
    bool WeightDecomposed = false, IReadOnlyList<string>? TrainedWhole = null)
{
    public double Scale => RankStabilized ? Alpha / Math.Sqrt(Rank) : Alpha / Rank;

    /// <summary>What is wrong, one sentence each; empty where nothing is.</summary>
    public IReadOnlyList<string> Validate()
    {
        List<string> problems = [];
        if (Rank < 1) problems.Add($"LoRA's rank must be 1 or more, not {Rank}.");
        if (!(Alpha > 0) || !double.IsFinite(Alpha)) problems.Add(FormattableString.Invariant($"LoRA's alpha must be above 0, not {Alpha}."));
        if (Dropout is not (>= 0 and < 1)) problems.Add(FormattableString.Invariant($"LoRA's dropout must be from 0 to below 1, not {Dropout}."));
        if (Targets.Count == 0) problems.Add("LoRA needs the name of at least one layer to adapt.");
        return problems;
    }
}

/// <summary>
/// Low-rank adaptation (Hu et al. 2021, arXiv:2106.09685): the model's weights W stay as they are and each adapted layer
/// computes (W + scale * B A) x, with A [rank, inputs] and B [outputs, rank] trained. Works on every linear layer of any
/// model, also GPT-2's [inputs, outputs] ones. Dispose frees the adapters and leaves the model without them.
/// </summary>
public sealed class Lora : IDisposable
{
    private readonly List<Adapter> adapters = [];

    private Lora(nn.Module model, LoraConfig config) => (Model, Config) = (model, config);

    public LoraConfig Config { get; }

    /// <summary>Whether the model's weights hold the adapters' change now.</summary>
    public bool Merged { get; private set; }

    internal nn.Module Model { get; }

    /// <summary>Puts new adapters on a model: A random, B zero, so that it computes the same at first. Everything but the adapters and the layers trained whole is taken out of training.</summary>
    /// <param name="model">A model with its weights, on the device where it trains.</param>
    /// <param name="config">How.</param>
    /// <param name="seed">Of A, which is uniform in +-1/sqrt(inputs).</param>
    /// <exception cref="ArgumentException">The configuration is not valid, or names a layer that the model does not have or that is not linear.</exception>
    public static Lora Attach(nn.Module model, LoraConfig config, int seed)
    {
        if (config.Validate() is { Count: > 0 } problems) throw new ArgumentException(string.Join(" ", problems));
        var modules = model.named_modules().ToList();
        var targets = Named(modules, config.Targets);
        var whole = Named(modules, config.TrainedWhole ?? []);
        if (targets.FirstOrDefault(t => t.Module is not (Linear or Conv1D)) is { Name: not null } other)
            throw new ArgumentException($"The layer {other.Name} is no linear layer; LoRA can adapt {string.Join(", ", LinearNames(modules))}.");

        var lora = new Lora(model, config);
        foreach (var parameter in model.parameters()) parameter.requires_grad_(false);
        foreach (var (_, module) in whole)
            foreach (var parameter in module.parameters()) parameter.requires_grad_(true);
        using var random = new Generator((ulong)seed);
        foreach (var (name, module) in targets) lora.adapters.Add(new(name, (nn.Module<Tensor, Tensor>)module, config, random));
        return lora;
    }

    /// <summary>What is trained, named as PEFT's files name it, but for the prefix: path.lora_A.weight [rank, inputs], path.lora_B.weight [outputs, rank], with DoRA path.lora_magnitude_vector [outputs], and the layers trained whole.</summary>
    public IEnumerable<(string Name, Parameter Parameter)> Parameters() => adapters.SelectMany(a => a.Parameters())
        .Concat(Named(Model.named_modules().ToList(), Config.TrainedWhole ?? []).SelectMany(w => w.Module.named_parameters().Select(p => ($"{w.Name}.{p.name}", p.parameter))));

    /// <summary>Numbers in the adapters, which are no part of the model.</summary>
    public long Added => adapters.SelectMany(a => a.Parameters()).Sum(p => p.Parameter.numel());

    /// <summary>Whether a model has a layer of a name, or of a path that ends with it.</summary>
    internal static bool Has(nn.Module model, string name) => model.named_modules().Any(m => IsNamed(m.name, name));

    /// <summary>Adds the adapters' change to the model's weights, which then computes the same without them; for fast prediction and for export.</summary>
    public void Merge()
    {
        if (Merged) return;
        foreach (var adapter in adapters) adapter.Merge();
        Merged = true;
    }

    /// <summary>Puts the model's weights back, bit by bit.</summary>
    public void Unmerge()
    {
        foreach (var adapter in adapters) adapter.Unmerge();
        Merged = false;
    }

    /// <summary>Whether GPT-2's [inputs, outputs] layers are adapted; PEFT's files say so.</summary>
    internal bool IsTransposed => adapters.Exists(a => a.IsTransposed);

    public void Dispose()
    {
        Unmerge();
        foreach (var adapter in adapters) adapter.Dispose();
        adapters.Clear();
    }

    private static List<(string Name, nn.Module Module)> Named(List<(string name, nn.Module module)> modules, IReadOnlyList<string> wanted)
    {
        foreach (var name in wanted)
            if (!modules.Exists(m => IsNamed(m.name, name)))
                throw new ArgumentException($"The model has no layer named {name}; its linear layers are {string.Join(", ", LinearNames(modules))}.");
        return modules.Where(m => wanted.Any(w => IsNamed(m.name, w))).ToList();
    }

    private static bool IsNamed(string path, string name) => path == name || path.EndsWith("." + name, StringComparison.Ordinal);

    private static IEnumerable<string> LinearNames(List<(string name, nn.Module module)> modules) =>
        modules.Where(m => m.module is Linear or Conv1D).Select(m => m.name[(m.name.LastIndexOf('.') + 1)..]).Distinct();

    /// <summary>The two small matrices of one layer, and the hook that adds what they compute to what the layer computes.</summary>
    private sealed class Adapter : IDisposable
    {
        private readonly string name;
        private readonly nn.Module<Tensor, Tensor> layer;
        private readonly LoraConfig config;
        private readonly Parameter a;
        private readonly Parameter b;
        private readonly Parameter? magnitude;
        private readonly Action removeHook;
        private Tensor? original;

        public Adapter(string name, nn.Module<Tensor, Tensor> layer, LoraConfig config, Generator random)
        {
            (this.name, this.layer, this.config) = (name, layer, config);
            using var scope = NewDisposeScope();
            using var noGrad = no_grad();
            var weight = Weight();
            var (outputs, inputs) = (weight.shape[0], weight.shape[1]);
            var bound = 1 / Math.Sqrt(inputs);
            Parameter Trained(Tensor start)
            {
                var parameter = nn.Parameter(start.to(weight.dtype, weight.device));
                parameter.DetachFromDisposeScope();
                return parameter;
            }
            a = Trained(empty(config.Rank, inputs).uniform_(-bound, bound, random));
            b = Trained(zeros(outputs, config.Rank));
            if (config.WeightDecomposed) magnitude = Trained(weight.norm(dim: 1));
            removeHook = layer.register_forward_hook((_, input, output) => Adapt(input, output)).remove;
        }

        public bool IsTransposed => layer is Conv1D;

        public IEnumerable<(string Name, Parameter Parameter)> Parameters()
        {
            yield return ($"{name}.lora_A.weight", a);
            yield return ($"{name}.lora_B.weight", b);
            if (magnitude is not null) yield return ($"{name}.lora_magnitude_vector", magnitude);
        }

        /// <summary>The layer's weight as [outputs, inputs], also where it is stored the other way round; a view.</summary>
        private Tensor Weight() => layer is Conv1D turned ? turned.Weight.t() : ((Linear)layer).weight;

        private Tensor Adapt(Tensor input, Tensor output)
        {
            if (original is not null) return output;
            var x = F.dropout(input, config.Dropout, layer.training);
            var change = F.linear(F.linear(x, a), b) * config.Scale;
            if (magnitude is null) return output + change;
            var stretch = Stretch();
            return output + (stretch - 1) * F.linear(x, Weight()) + stretch * change;
        }

        /// <summary>DoRA: learned length over present length of each output's weights [outputs]; the present length counts as a constant (section 4.3 of the paper).</summary>
        private Tensor Stretch()
        {
            Tensor length;
            using (no_grad()) length = (Weight() + matmul(b, a) * config.Scale).norm(dim: 1);
            return magnitude! / length;
        }

        public void Merge()
        {
            using var scope = NewDisposeScope();
            using var noGrad = no_grad();
            var weight = Weight();
            original = weight.clone().DetachFromDisposeScope();
            var changed = weight + matmul(b, a) * config.Scale;
            weight.copy_(magnitude is null ? changed : changed * Stretch().unsqueeze(1));
        }

        public void Unmerge()
        {
            if (original is null) return;
            using var scope = NewDisposeScope();
            using var noGrad = no_grad();
            Weight().copy_(original);
            original.Dispose();
            original = null;
        }

        public void Dispose()
        {
            removeHook();
            a.Dispose();
            b.Dispose();
            magnitude?.Dispose();
        }
    }
}
