namespace TorchSharp.Native;

// Draws from a generator.
internal static partial class Ops
{
    internal static readonly Operator bernoulli = new("bernoulli");
    internal static readonly Operator bernoulli__Tensor = new("bernoulli_", "Tensor");
    internal static readonly Operator bernoulli__float = new("bernoulli_", "float");
    internal static readonly Operator exponential_ = new("exponential_");
    internal static readonly Operator multinomial = new("multinomial");
    internal static readonly Operator normal_ = new("normal_");
    internal static readonly Operator poisson = new("poisson");
    internal static readonly Operator rand_generator = new("rand", "generator");
    internal static readonly Operator rand_like = new("rand_like");
    internal static readonly Operator randint_low_generator = new("randint", "low_generator");
    internal static readonly Operator randn_generator = new("randn", "generator");
    internal static readonly Operator randn_like = new("randn_like");
    internal static readonly Operator random__from = new("random_", "from");
    internal static readonly Operator randperm_generator = new("randperm", "generator");
    internal static readonly Operator uniform_ = new("uniform_");
}
