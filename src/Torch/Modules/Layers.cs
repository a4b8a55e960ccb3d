using TorchSharp.Native;
using TorchSharp.Utils;
using static TorchSharp.Native.Calls;
using static TorchSharp.torch;

namespace TorchSharp.Modules;

/// <summary>y = x A^T + b: input (..., in_features), output (..., out_features), weight (out_features, in_features).</summary>
public sealed class Linear : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "weight")]
    private Parameter _weight;

    [ComponentName(Name = "bias")]
    private Parameter? _bias;

    internal Linear(long inputSize, long outputSize, bool hasBias, Device? device, ScalarType? dtype) : base(nameof(Linear))
    {
        (in_features, out_features) = (inputSize, outputSize);
        _weight = new Parameter(empty([outputSize, inputSize], dtype, device));
        nn.init.kaiming_uniform_(_weight, Math.Sqrt(5));
        if (hasBias)
        {
            double bound = inputSize > 0 ? 1 / Math.Sqrt(inputSize) : 0;
            _bias = new Parameter(empty([outputSize], dtype, device));
            nn.init.uniform_(_bias, -bound, bound);
        }
        RegisterComponents();
    }

    internal Linear(Parameter weight, Parameter? bias) : base(nameof(Linear))
    {
        (out_features, in_features) = (weight.size(0), weight.size(1));
        (_weight, _bias) = (weight, bias);
        RegisterComponents();
    }

    public long in_features { get; set; }
    public long out_features { get; set; }

    public Parameter weight
    {
        get => _weight;
        set => Replace("weight", _weight = value);
    }

    public Parameter? bias
    {
        get => _bias;
        set => Replace("bias", _bias = value);
    }

    public override Tensor forward(Tensor tensor) => nn.functional.linear(tensor, _weight, _bias);

    private void Replace(string part, Parameter? value)
    {
        Forget(part);
        if (value is not null) register_parameter(part, value);
    }
}

/// <summary>Rows of a table: Int64 or Int32 input (...), output (..., embedding_dims). N(0, 1); the padding row is zero and gets no gradient.</summary>
public sealed class Embedding : nn.Module<Tensor, Tensor>
{
    private readonly long padding;
    private readonly double? max_norm;
    private readonly double norm_type;
    private readonly bool scale_grad_by_freq, sparse;

    [ComponentName(Name = "weight")]
    private Parameter _weight;

    internal Embedding(Parameter weight, long? padding_idx, double? max_norm, double norm_type, bool scale_grad_by_freq, bool sparse) : base(nameof(Embedding))
    {
        _weight = weight;
        padding = padding_idx is { } p ? p < 0 ? p + weight.size(0) : p : -1;
        (this.max_norm, this.norm_type, this.scale_grad_by_freq, this.sparse) = (max_norm, norm_type, scale_grad_by_freq, sparse);
        RegisterComponents();
    }

    internal static Embedding Fresh(long rows, long columns, long? padding_idx, double? max_norm, double norm_type, bool scale_grad_by_freq, bool sparse, Device? device, ScalarType? dtype)
    {
        var table = new Parameter(empty([rows, columns], dtype, device));
        nn.init.normal_(table);
        if (padding_idx is { } p)
        {
            using var quiet = no_grad();
            using var scope = NewDisposeScope();
            table[p].zero_();
        }
        return new Embedding(table, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse);
    }

    public Parameter weight
    {
        get => _weight;
        set
        {
            Forget("weight");
            register_parameter("weight", _weight = value);
        }
    }

    public override Tensor forward(Tensor input)
    {
        if (max_norm is { } limit)
        {
            using var quiet = no_grad();
            Call(Ops.embedding_renorm_, _weight, input.reshape(-1), limit, norm_type).Dispose();
        }
        return Call(Ops.embedding, _weight, input, padding, scale_grad_by_freq, sparse);
    }
}

/// <summary>Normalises over the last dimensions, then scales and shifts (Ba et al. 2016). weight and bias: normalized_shape.</summary>
public sealed class LayerNorm : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "weight")]
    private Parameter? _weight;

    [ComponentName(Name = "bias")]
    private Parameter? _bias;

    internal LayerNorm(long[] normalized_shape, double eps, bool elementwise_affine, bool bias, Device? device, ScalarType? dtype) : base(nameof(LayerNorm))
    {
        (this.normalized_shape, this.eps, this.elementwise_affine) = (normalized_shape, eps, elementwise_affine);
        if (elementwise_affine)
        {
            _weight = new Parameter(ones(normalized_shape, dtype, device));
            if (bias) _bias = new Parameter(zeros(normalized_shape, dtype, device));
        }
        RegisterComponents();
    }

    public long[] normalized_shape { get; set; }
    public double eps { get; set; }
    public bool elementwise_affine { get; set; }

    public Parameter? weight
    {
        get => _weight;
        set => Replace("weight", _weight = value);
    }

    public Parameter? bias
    {
        get => _bias;
        set => Replace("bias", _bias = value);
    }

    /// <summary>Ones and zeros.</summary>
    public void reset_parameters()
    {
        if (_weight is not null) nn.init.ones_(_weight);
        if (_bias is not null) nn.init.zeros_(_bias);
    }

    public override Tensor forward(Tensor tensor) => nn.functional.layer_norm(tensor, normalized_shape, _weight, _bias, eps);

    private void Replace(string part, Parameter? value)
    {
        Forget(part);
        if (value is not null) register_parameter(part, value);
    }
}
