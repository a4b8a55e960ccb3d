using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Training;

/// <summary>
/// Adafactor (Shazeer and Stern 2018, arXiv:1804.04235) with a learning rate from outside, no first moment and no scaling by
/// the parameter: of a matrix's squared gradients it keeps only the means of rows and columns, so its memory is that of the
/// edges. With t steps taken, b = 1 - t^-0.8 is the share of the old means; an update whose root mean square is above 1 is
/// scaled down to it.
/// </summary>
internal sealed class Adafactor : IDisposable
{
    private const double Least = 1e-30, Threshold = 1, DecayExponent = -0.8;

    private readonly Parameter parameter;
    private readonly Tensor? rows, columns, all;

    public Adafactor(Parameter parameter)
    {
        this.parameter = parameter;
        var shape = parameter.shape;
        if (shape.Length < 2) all = zeros_like(parameter, requires_grad: false).DetachFromDisposeScope();
        else
        {
            rows = zeros(shape[..^1]).DetachFromDisposeScope();
            columns = zeros([.. shape[..^2], shape[^1]]).DetachFromDisposeScope();
        }
    }

    public long Steps { get; set; }

    /// <summary>What the next step depends on besides <see cref="Steps"/>: of a matrix [n, m] the means of its rows [n] and columns [m], of a vector all of it.</summary>
    public IEnumerable<(string Prefix, Tensor Tensor)> State =>
        all is not null ? [("exp_avg_sq.", all)] : [("exp_avg_sq_row.", rows!), ("exp_avg_sq_col.", columns!)];

    /// <summary>Moves the parameter by its gradient; one without a gradient stays as it is.</summary>
    public void Step(double rate, double weightDecay)
    {
        if (parameter.grad is not { } grad) return;
        using var quiet = no_grad();
        using var scope = NewDisposeScope();
        Steps++;
        var old = 1 - Math.Pow(Steps, DecayExponent);
        var squares = grad.square().add_(Least);
        Tensor update;
        if (all is not null) update = Blend(all, squares, old).rsqrt() * grad;
        else
        {
            Blend(rows!, squares.mean([-1]), old);
            Blend(columns!, squares.mean([-2]), old);
            update = (rows! / rows!.mean([-1], keepdim: true)).rsqrt_().unsqueeze(-1) * columns!.rsqrt().unsqueeze(-2) * grad;
        }
        var size = Math.Sqrt(update.square().mean().item<float>());
        if (weightDecay != 0) parameter.mul_(1 - weightDecay * rate);
        parameter.add_(update, -rate / Math.Max(1, size / Threshold));
    }

    private static Tensor Blend(Tensor mean, Tensor now, double old) => mean.mul_(old).add_(now, 1 - old);

    public void Dispose()
    {
        foreach (var (_, tensor) in State) tensor.Dispose();
    }
}
